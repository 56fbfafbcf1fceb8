#include "search/bound.hpp"

namespace vecrecall::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kFloatUnit = 0x1p-24;       // u: half the spacing of floats at 1
constexpr double kFloatSmallest = 0x1p-149;  // the spacing of subnormal floats

// |p - ideal p|: none for ip; l2: u P (1 + 2u); cosine, p = fl(q / |q|): that + sqrt(d) 2^-149.
double query_rounding(const Items& items, const Query& query) {
    if (items.metric() == Metric::kIp) return 0.0;
    const double relative = 2 * kFloatUnit * query.scan_length;
    if (items.metric() == Metric::kL2) return relative;
    return relative + std::sqrt(static_cast<double>(items.dim())) * kFloatSmallest;
}

}  // namespace

// The rounding analysis of the float32 scan. Write u = 2^-24, P >= |p|, R >= |r|, O >= |offset|.
//
//  1. Items. ip, l2: y = fl(x - mu), each |y_j - r_j| <= u |r_j| (a difference of floats never
//     underflows inexactly). cosine: y = fl(fl(x * s) - mu), s = fl(1/|x|) normal, so
//     |y_j - r_j| <= 3u |x_j|/|x| + u |y_j| + 2^-149; over the row, with |x|/|x| = 1:
//     |y - r| <= 4u + 2u R + sqrt(d) 2^-149. Hence |y| <= Y = R + |y - r|.
//  2. Queries: query_rounding, times |y|.
//  3. The dot product with the offset as first term, in any order, fused or not:
//     gamma (O + P Y) + (d + 2) 2^-149 with gamma = (d + 2) u / (1 - (d + 2) u); subnormal
//     products add at most 2^-150 each. Needs O + P Y below the float range.
//  4. The offset's own rounding: u O + 2^-149.
//  5. Everything done in float64 (constant, offset before its rounding, the exact score itself, the
//     arithmetic of the bound): (d + 8) 2^-50 times a bound on the magnitudes involved, more
//     than four times the sum of their textbook bounds.
//
// A list has a center of its own: mu + c in place of mu. Under ip and cosine that is all. Under l2
// p stays q - mu, the constant is K = -|p - c|^2, summed in float64 from q and the list's center,
// and the offset has c.r as a part. The exact score is no larger than (|p - c| + R)^2 there, at
// most 2 |K| + 2 R^2, and c.r, whose sum in float64 may cancel against the rest of the offset, is
// no larger than |c| R: with 2 c.r as the score has it, |c| R twice for the product and twice for
// the bias that may cancel it.
ScoreBound certify_f32(const Items& items, const BlockStats& block, const Query& query,
                       const CenterTerms& center) {
    const auto d = static_cast<double>(items.dim());
    const double u = kFloatUnit;
    const double root_tiny = std::sqrt(d) * kFloatSmallest;
    const double p = query.scan_length;
    const double r = block.radius;
    const double offset = block.max_offset;

    const bool cosine = items.metric() == Metric::kCosine;
    const double item_error = cosine ? 4 * u + 2 * u * r + root_tiny : u * r;
    const double query_error = query_rounding(items, query);
    const double y = r + item_error;
    const double gamma = (d + 2) * u / (1 - (d + 2) * u);
    const double reach = offset + p * y;
    const double dot_error = gamma * reach + (d + 2) * kFloatSmallest;
    const double offset_error = u * offset + kFloatSmallest;

    double exact = query.length * (center.norm + r);  // ip: |q| |x|
    if (items.metric() == Metric::kL2) {
        exact = 2 * std::fabs(center.constant) + 2 * r * r + 4 * center.shift * r;
    }
    if (cosine) exact = 1 + center.norm + r;
    const double magnitude = std::fabs(center.constant) + query.multiplier * reach + exact;

    double error =
        query.multiplier * (p * item_error + query_error * y + dot_error + offset_error) +
        (d + 8) * 0x1p-50 * magnitude;
    error *= 1 + 0x1p-20;
    const bool in_range = (d + 2) * u < 0.5 && p < 1e38 && y < 1e38 && reach < 1e38;
    return {.constant = center.constant,
            .multiplier = query.multiplier,
            .inverse = 1.0 / query.multiplier,
            .error = in_range ? error : kInfinity,
            .integers = false,
            .largest = in_range
                           ? center.constant + query.multiplier * (block.top_offset + p * y) + error
                           : kInfinity};
}

// The analysis of the int8 scan. With p = T + f, T = step_q g, and r = C + e, C = step c:
//
//     p.r = T.C + f.C + p.e,    |f.C| <= F S,    |p.e| <= P E
//
// where F >= |f|, S >= |C| and E >= |e| over the block, and T.C = step_q step (g.c) is exact but
// for float64. Then
//
//  1. Queries, as in the float32 scan: |p - ideal p| <= Q, times |r| <= S + E.
//  2. With offsets the value is fl(fl(step_q step) * fl(g.c) + offset): three roundings of T.C and
//     one of the sum, 4u ((P + F) S + O), and u O + 2^-149 for the offset itself.
//  3. Everything done in float64, as there: (d + 8) 2^-50 times a bound on the magnitudes.
//  4. Lists, as there; R <= S + E.
//
// Along the center's direction w the query's part b and the items' parts a = w.r are kept apart:
//
//     p.r = (p - b w).r + b a,    for whatever b > 0,
//
// so that T, f and P above are those of p - b w, which is short where queries lie along the center
// as rows do. w is what float64 made of the direction, the same numbers on both sides, with
// |w| <= 1 + (d + 2) 2^-53, far less than the margin on the sum of all terms. The offset is a,
// values are in units of b. Item 2 holds with O = A >= |a|, where A = S + E will do, and in float64
// a is off by (d + 8) 2^-50 (2 |mu| + S + E).
QuantizedScoreBound::QuantizedScoreBound(const Items& items, const Query& query,
                                         const QueryCodes& codes)
    : multiplier_(query.multiplier),
      step_(codes.step),
      inverse_step_(1.0 / codes.step),
      unit_(codes.along > 0 ? codes.along : 1.0),
      length_(query.scan_length),
      reach_(codes.length + codes.error),
      along_(codes.along > 0),
      offsets_(items.has_offsets() || along_) {
    const auto d = static_cast<double>(items.dim());
    const double lane = (d + 8) * 0x1p-50;
    const double m = multiplier_;
    const double rounding = query_rounding(items, query);
    const double u = offsets_ ? kFloatUnit : 0.0;

    fixed_ = offsets_ ? m * unit_ * 2 * kFloatSmallest : 0.0;
    per_constant_ = lane;
    per_norm_ = 0;
    per_shift_ = 0;
    per_code_ = m * (codes.error + rounding + 4 * u * reach_) + lane * m * reach_;
    per_error_ = m * (codes.length + rounding);
    if (along_) {
        const double part = m * unit_ * (5 * u + 2 * lane);
        fixed_ += lane * m * unit_ * 2 * items.center().norm;
        per_code_ += part;
        per_error_ += part;
    }
    per_offset_ = m * 5 * u + lane * m;
    per_square_ = 0;
    switch (items.metric()) {  // the exact score's own float64 rounding
        case Metric::kIp:
            per_norm_ = lane * query.length;
            per_code_ += lane * query.length;
            per_error_ += lane * query.length;
            break;
        case Metric::kCosine:
            fixed_ += lane;
            per_norm_ = lane;
            per_code_ += lane;
            per_error_ += lane;
            break;
        case Metric::kL2:  // 2 |K| + 2 R^2
            per_constant_ += lane * 2;
            per_square_ = lane * 2;
            per_shift_ = lane * 4;
            break;
    }
}

ScoreBound QuantizedScoreBound::certify(const CodeStats& codes, const BlockStats& block,
                                        const CenterTerms& center) const {
    const double max_offset = block.max_offset;
    const double r = codes.code_length + codes.error_length;
    double error = fixed_ + per_constant_ * std::fabs(center.constant) + per_norm_ * center.norm +
                   per_code_ * codes.code_length + per_error_ * codes.error_length +
                   per_offset_ * max_offset + per_square_ * r * r + per_shift_ * center.shift * r;
    error *= 1 + 0x1p-20;
    if (!(error < kInfinity)) error = kInfinity;  // NaN too
    ScoreBound bound{.constant = center.constant,
                     .multiplier = multiplier_ * step_ * codes.step,
                     .inverse = inverse_step_ * codes.inverse_step / multiplier_,
                     .error = error,
                     .integers = !offsets_,
                     .largest = kInfinity};
    if (offsets_) {
        bound.multiplier = multiplier_ * unit_;
        bound.inverse = 1.0 / bound.multiplier;
        const double scale = step_ * codes.step / unit_;
        const double offset = along_ ? r : max_offset;
        const bool in_range = scale >= std::numeric_limits<float>::min() && scale < 1e38 &&
                              reach_ * codes.code_length / unit_ + offset < 1e38;
        if (!in_range) bound.error = kInfinity;
    }
    // |T.C| <= |T| |C|, and |p.r| <= |p| |r| where a part of it is kept apart
    const double reach = along_ ? length_ * r : block.top_offset + reach_ * codes.code_length;
    bound.largest = center.constant + multiplier_ * reach + bound.error;
    return bound;
}

// An item whose score rounds to at least `score` has a real score above the float before it.
double ScoreBound::smallest_value(float score) const {
    constexpr double kLowest = -std::numeric_limits<double>::infinity();
    if (!certifies() || score == -std::numeric_limits<float>::infinity()) return kLowest;
    const double above = std::nextafter(score, -std::numeric_limits<float>::infinity());
    const double slack = 0x1p-48 * (std::fabs(above) + std::fabs(constant) + error);
    return (above - constant - error - slack) * inverse;
}

float ScoreBound::threshold(float score) const {
    return std::nextafter(static_cast<float>(smallest_value(score)),
                          -std::numeric_limits<float>::infinity());
}

std::int32_t ScoreBound::int_threshold(float score) const {
    constexpr auto kMin = std::numeric_limits<std::int32_t>::min();
    constexpr auto kMax = std::numeric_limits<std::int32_t>::max();
    const double value = std::floor(smallest_value(score));
    if (!(value > kMin)) return kMin;
    return value < kMax ? static_cast<std::int32_t>(value) : kMax;
}

}  // namespace vecrecall::search
