// The rounding analysis of the scan for the nearest centroids.
//
// Write u = 2^-24; a point's r = t c + e with its step t, a centroid's s = w g + f with its step w,
// L = |r|, E = |e|, G = |w g|, F = |f|, S = |s|, h = |offset|. The scan works in units of t.
//
// int8. r.s - t w (c.g) = e.(w g) + r.f, at most E G + L F. The value is
//     fl(fl(c.g) w + fl(fl(offset) fl(1/t))),
// three roundings of t w (c.g), which is at most (L + E) G, and four of the offset; its lowest bits
// are then overwritten, by 32u of it at most; the ends of intervals are rounded sums too. 48u
// covers all of that, where 48u E G is part of the margin of the first:
//     per_miss = G,  per_length = F + 48u G,  per_unit = 48u h + 2^-88.
// The last covers what gets lost below the normal floats: 1 / t >= 2^-40, so it is 2^-128 or more.
//
// float32. t = 1, e = 0; fl(r) and fl(s) are off by u of themselves, d + 1 terms are summed, fused
// or not, and the offset is rounded: (d + 3) u of L S and of h, with the rest as above (d + 48) u,
// and at most 2^-110 a term where r has subnormal components (s is exact then, or under cosine
// short of length one by nothing that counts).
//
// Points. L and E are sums of d squares in float32, off by (d + 16) u at most with the roots and
// the divisions. E is that of fl(r) - fl(t c): r is off by u of itself, t c likewise where the
// machine does not fuse, and squares below the normal floats may get lost: 8u L in all.
//
// Everything in float64 here is off by parts of 2^-50, inside the margins kUp and kMargin.
#pragma once

#include <cmath>
#include <limits>

#include "core/scoring.hpp"

namespace vecrecall::cluster {

inline constexpr double kUnit = 0x1p-24;
inline constexpr double kValueRounding = 48 * kUnit;
inline constexpr float kMissRounding = 8 * 0x1p-24F;
inline constexpr double kMargin = 1.0 + 0x1p-18;  // more than 48u

// Within these, no product or sum of the scan leaves the normal floats upwards.
inline constexpr double kLargestRadius = 0x1p40;
inline constexpr float kLargestStep = 0x1p40F;
inline constexpr float kSmallestStep = 0x1p-40F;
inline constexpr float kLargestLength = 0x1p50F;

// Up to here a sum of d products 255 * 127 fits 32 bits; (d + 48) u is small.
inline constexpr std::size_t kMostCodeDims = 65536;
inline constexpr std::size_t kMostFloatDims = 1 << 19;

inline float round_up(double x) {
    return std::nextafter(static_cast<float>(x), std::numeric_limits<float>::infinity());
}

}  // namespace vecrecall::cluster
