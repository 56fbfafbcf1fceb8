// Nearest centroids: points in lanes, so that a maximum over centroids crosses no lanes.
#pragma once

#include "kernels/scan_f32-inl.hpp"
#include "kernels/scan_i8-inl.hpp"

namespace vecrecall::kernels {
namespace {

constexpr int kBlocksInGroup = 2;

template <class S>
VR_INLINE typename S::F32 error_of(const PointTerms& points, const ErrorTerms& terms,
                                   std::size_t group, std::size_t at) {
    using V = typename S::F32;
    const V fixed = S::set(terms.per_unit[group]) * load<V>(points.units + at);
    const V by_length =
        S::multiply_add(S::set(terms.per_length[group]), load<V>(points.lengths + at), fixed);
    return S::multiply_add(S::set(terms.per_miss[group]), load<V>(points.misses + at), by_length);
}

// A value that names its centroid; off by less than 2^-19 of itself.
template <class S>
VR_INLINE typename S::F32 tagged(typename S::F32 value, int in_group) {
    return S::blend_bits(value, S::set(~kInGroupBits), S::set(in_group));
}

// The maxima of a group.
template <class S>
VR_INLINE void note_group(const PointTerms& points, const ErrorTerms& groups,
                          const GroupUpperBounds& reach, std::size_t group, std::size_t first,
                          const typename S::F32* best) {
    using V = typename S::F32;
    using I = typename S::I32;
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        const std::size_t at = first + v * S::kLanes;
        store(reach.highest + group * kWordItems + at,
              best[v] + error_of<S>(points, groups, group, at));
        const V top = load<V>(reach.top + at);
        const I of = load<I>(reach.top_group + at);
        store(reach.top + at, S::max(top, best[v]));
        store(reach.top_group + at, best[v] > top ? S::set(static_cast<std::int32_t>(group)) : of);
    }
}

VR_INLINE void start_reach(const GroupUpperBounds& reach) {
    for (std::size_t i = 0; i < kWordItems; ++i) {
        reach.top[i] = -__builtin_inff();
        reach.top_group[i] = 0;
    }
}

// The maxima of kGroup points over the centroids of one register block.
template <class S>
VR_INLINE void nearest_block(const NearestI8& a, std::size_t first, std::size_t c0, int in_group,
                             typename S::F32* best) {
    using F = typename S::F32;
    constexpr int Q = S::kQueriesI8;
    typename S::I32 acc[kVecs<S>][Q];
    dot_block_i8<S, Q>(a.codes + first / kPanelItems * a.n_quads * kQuadBytes, a.n_quads,
                       a.centroids + c0 * a.n_quads * 4, a.starts + c0, acc);
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        const auto unit = load<F>(a.points.units + first + v * S::kLanes);
        VR_UNROLL
        for (int q = 0; q < Q; ++q) {
            const F value =
                S::multiply_add(__builtin_convertvector(acc[v][q], F), S::set(a.steps[c0 + q]),
                                S::set(a.offsets[c0 + q]) * unit);
            best[v] = S::max(best[v], tagged<S>(value, in_group + q));
        }
    }
}

template <class S>
VR_INLINE void nearest_block(const NearestF32& a, std::size_t first, std::size_t c0, int in_group,
                             typename S::F32* best) {
    constexpr int Q = S::kQueries;
    typename S::F32 acc[kVecs<S>][Q];
    VR_UNROLL
    for (int q = 0; q < Q; ++q) {
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) acc[v][q] = S::set(a.offsets[c0 + q]);
    }
    dot_block_f32<S, Q>(a.panels + first * a.dim, a.dim, a.centroids + c0 * a.dim, acc);
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        VR_UNROLL
        for (int q = 0; q < Q; ++q) {
            best[v] = S::max(best[v], tagged<S>(acc[v][q], in_group + q));
        }
    }
}

template <class S, int Q, class Scan>
VR_INLINE void nearest(const Scan& a) {
    start_reach(a.reach);
    auto ahead = FetchAhead<2>::in_shares(a.prefetch.bytes, a.n_groups);
    ahead.start(a.prefetch.from);
    for (std::size_t g = 0; g < a.n_groups; ++g) {
        ahead.fetch_share();
        for (std::size_t first = 0; first < kWordItems; first += S::kGroup) {
            typename S::F32 best[kVecs<S>];
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; ++v) best[v] = S::set(-__builtin_inff());
            VR_UNROLL
            for (int b = 0; b < kBlocksInGroup; ++b) {
                nearest_block<S>(a, first, (g * kBlocksInGroup + b) * Q, b * Q, best);
            }
            note_group<S>(a.points, a.groups, a.reach, g, first, best);
        }
    }
}

template <class S>
void nearest_i8(const NearestI8& a) {
    nearest<S, S::kQueriesI8>(a);
}

template <class S>
void nearest_f32(const NearestF32& a) {
    nearest<S, S::kQueries>(a);
}

// kLanes centroids against R points, whose codes are at `codes`: which reach their thresholds.
template <class S, std::size_t kInGroup, int R>
VR_INLINE void indices_at_least(const SelectI8& a, const std::uint32_t* points,
                                const std::uint8_t* const* codes, std::size_t group,
                                std::size_t from, std::uint64_t* masks) {
    using V = typename S::I32;
    using F = typename S::F32;
    const NearestI8& scan = *a.scan;
    const std::size_t c0 = group * kInGroup + from;
    const std::int8_t* columns = a.columns + (group * scan.n_quads * kColumns + from) * 4;
    V sums[R];
    for (int r = 0; r < R; ++r) sums[r] = S::set(0);
    for (std::size_t j = 0; j < scan.n_quads; ++j) {
        const V column = load<V>(columns + j * kColumns * 4);
        VR_UNROLL
        for (int r = 0; r < R; ++r) {
            const V quad = S::set(load<std::int32_t>(codes[r] + j * kQuadBytes));
            sums[r] = S::dot(sums[r], quad, column);
        }
    }
    VR_UNROLL
    for (int r = 0; r < R; ++r) {
        sums[r] = sums[r] + load<V>(scan.starts + c0);
        const F unit = S::set(scan.points.units[points[r]]);
        const F value =
            S::multiply_add(__builtin_convertvector(sums[r], F), load<F>(scan.steps + c0),
                            load<F>(scan.offsets + c0) * unit);
        F error = load<F>(a.centroids.per_unit + c0) * unit;
        error = S::multiply_add(load<F>(a.centroids.per_length + c0),
                                S::set(scan.points.lengths[points[r]]), error);
        error = S::multiply_add(load<F>(a.centroids.per_miss + c0),
                                S::set(scan.points.misses[points[r]]), error);
        masks[r] = S::not_less(value + error, S::set(a.thresholds[points[r]]));
    }
}

// R points that reach their threshold in a group, side by side to hide the latency of the sums.
template <class S, std::size_t kInGroup, int R>
VR_INLINE std::uint64_t select_group(SelectI8& a, std::uint64_t points, std::size_t group) {
    const std::size_t c0 = group * kInGroup;
    std::uint32_t point[R];
    const std::uint8_t* codes[R];
    for (int r = 0; r < R; ++r) {
        point[r] = static_cast<std::uint32_t>(__builtin_ctzll(points));
        points &= points - 1;
        codes[r] = a.scan->codes + point[r] / kPanelItems * a.scan->n_quads * kQuadBytes +
                   point[r] % kPanelItems * 4;
    }
    for (std::size_t from = 0; from < kInGroup; from += S::kLanes) {
        const std::size_t in_group = kInGroup - from < S::kLanes ? kInGroup - from : S::kLanes;
        if (c0 + from >= a.n_centroids) break;
        const std::size_t real = a.n_centroids - c0 - from;
        const std::size_t here = in_group < real ? in_group : real;
        std::uint64_t masks[R];
        indices_at_least<S, kInGroup, R>(a, point, codes, group, from, masks);
        for (int r = 0; r < R; ++r) {
            std::uint64_t mask = masks[r] & ((std::uint64_t{1} << here) - 1);
            for (; mask != 0; mask &= mask - 1) {
                a.pairs[a.count++] = {point[r],
                                      static_cast<std::uint32_t>(c0 + from) +
                                          static_cast<std::uint32_t>(__builtin_ctzll(mask))};
            }
        }
    }
    return points;
}

template <class S, std::size_t kInGroup>
void select_i8(SelectI8& a) {
    a.count = 0;
    for (std::size_t g = 0; g < a.scan->n_groups; ++g) {
        const float* highest = a.scan->reach.highest + g * kWordItems;
        std::uint64_t mask = 0;
        for (std::size_t at = 0; at < kWordItems; at += S::kLanes) {
            mask |= S::not_less(load<typename S::F32>(highest + at),
                                load<typename S::F32>(a.thresholds + at))
                    << at;
        }
        mask &= a.live;
        while (mask != 0) {
            if (a.count + 4 * kInGroup > a.room) {
                a.count = a.room + 1;
                return;
            }
            const std::uint64_t rest = mask & (mask - 1);
            const bool four = (rest & (rest - 1) & ((rest & (rest - 1)) - 1)) != 0;
            mask = four ? select_group<S, kInGroup, 4>(a, mask, g)
                        : select_group<S, kInGroup, 1>(a, mask, g);
        }
    }
}

}  // namespace
}  // namespace vecrecall::kernels
