#include "scan/bound.hpp"

namespace vecrecall::scan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kFloatUnit = 0x1p-24;       // u: half the spacing of floats at 1
constexpr double kFloatSmallest = 0x1p-149;  // the spacing of subnormal floats

}  // namespace

// The rounding analysis of the float32 scan. Write u = 2^-24, P >= |p|, R >= |r|, O >= |offset|.
//
//  1. Items. ip, l2: y = fl(x - mu), each |y_j - r_j| <= u |r_j| (a difference of floats never
//     underflows inexactly). cosine: y = fl(fl(x * s) - mu), s = fl(1/|x|) normal, so
//     |y_j - r_j| <= 3u |x_j|/|x| + u |y_j| + 2^-149; over the row, with |x|/|x| = 1:
//     |y - r| <= 4u + 2u R + sqrt(d) 2^-149. Hence |y| <= Y = R + |y - r|.
//  2. Queries. ip: none. l2: |p - (q - mu)| <= u P (1 + 2u); cosine: p = fl(q/|q|):
//     <= u P (1 + 2u) + sqrt(d) 2^-149.
//  3. The dot product with the offset as first term, in any order, fused or not:
//     gamma (O + P Y) + (d + 2) 2^-149 with gamma = (d + 2) u / (1 - (d + 2) u); subnormal
//     products add at most 2^-150 each. Needs O + P Y below the float range.
//  4. The offset's own rounding: u O + 2^-149.
//  5. Everything done in float64 (constant, offset before its rounding, the exact score itself, the
//     arithmetic of this certificate): (d + 8) 2^-50 times a bound on the magnitudes involved, more
//     than four times the sum of their textbook bounds.
Certificate certify_f32(const Items& items, const BlockStats& block, const Query& query) {
    const auto d = static_cast<double>(items.dim());
    const double u = kFloatUnit;
    const double root_tiny = std::sqrt(d) * kFloatSmallest;
    const double p = query.scan_length;
    const double r = block.radius;
    const double offset = block.max_offset;

    const bool cosine = items.metric() == Metric::kCosine;
    const double item_error = cosine ? 4 * u + 2 * u * r + root_tiny : u * r;
    const double query_error =
        items.metric() == Metric::kIp ? 0.0 : 2 * u * p + (cosine ? root_tiny : 0.0);
    const double y = r + item_error;
    const double gamma = (d + 2) * u / (1 - (d + 2) * u);
    const double reach = offset + p * y;
    const double dot_error = gamma * reach + (d + 2) * kFloatSmallest;
    const double offset_error = u * offset + kFloatSmallest;

    double exact = query.length * (items.centre_norm() + r);  // ip: |q| |x|
    if (items.metric() == Metric::kL2) exact = (p + r) * (p + r);
    if (cosine) exact = 1 + items.centre_norm() + r;
    const double magnitude = std::fabs(query.constant) + query.multiplier * reach + exact;

    double error =
        query.multiplier * (p * item_error + query_error * y + dot_error + offset_error) +
        (d + 8) * 0x1p-50 * magnitude;
    error *= 1 + 0x1p-20;
    const bool in_range = (d + 2) * u < 0.5 && p < 1e38 && y < 1e38 && reach < 1e38;
    return {.constant = query.constant,
            .multiplier = query.multiplier,
            .error = in_range ? error : kInfinity};
}

// An item whose score rounds to at least `score` has a real score above the float before it.
float Certificate::raw_threshold(float score) const {
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    if (!certifies() || score == kLowest) return kLowest;
    const double above = std::nextafter(score, kLowest);
    const double slack = 0x1p-48 * (std::fabs(above) + std::fabs(constant) + error);
    const double raw = (above - constant - error - slack) / multiplier;
    return std::nextafter(static_cast<float>(raw), kLowest);
}

}  // namespace vecrecall::scan
