// The bound: from a scan's raw value to an interval that holds the item's score.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "search/items.hpp"
#include "search/query.hpp"

namespace vecrecall::search {

// For one query and one block: |score before its rounding to float32 - (constant +
// multiplier * raw)| <= error. An infinite error certifies nothing: every item is reranked.
struct ScoreBound {
    double constant;
    double multiplier;
    double inverse;  // of the multiplier
    double error;
    bool integers;   // raw values are int32, else float32
    double largest;  // no item of the block has a score above it, before its rounding

    bool certifies() const { return error < std::numeric_limits<double>::infinity(); }

    double value(std::uint32_t raw) const {
        if (integers) return static_cast<std::int32_t>(raw);
        float x;
        std::memcpy(&x, &raw, sizeof(x));
        return x;
    }

    // Rounding to nearest is monotonic, so these bound the float32 score. Where they are equal they
    // are the score, which is never -0.
    float lowest(double value) const {
        return certifies() ? static_cast<float>(constant + multiplier * value - error) + 0.0F
                           : -std::numeric_limits<float>::infinity();
    }
    float highest(double value) const {
        return certifies() ? static_cast<float>(constant + multiplier * value + error)
                           : std::numeric_limits<float>::infinity();
    }

    // A value below this cannot belong to an item whose float32 score is >= score.
    float threshold(float score) const;
    std::int32_t int_threshold(float score) const;

  private:
    double smallest_value(float score) const;
};

// For the float32 scan of rows.
ScoreBound certify_f32(const Items& items, const BlockStats& block, const Query& query,
                       const CenterTerms& center);

// A query as the int8 scan sees it: p = step * g + f + along * u, with u the center's direction.
struct QueryCodes {
    double step;
    double error;   // at least |f|
    double length;  // at least |p - along * u|
    double along;   // positive; 0 where the scan keeps nothing apart
};

// For the int8 scan of codes: the part that does not depend on the block, computed once per query.
class QuantizedScoreBound {
  public:
    QuantizedScoreBound(const Items& items, const Query& query, const QueryCodes& codes);

    ScoreBound certify(const CodeStats& codes, const BlockStats& block,
                       const CenterTerms& center) const;
    // The factor of the integer sum where offsets are added to it.
    float scale(const CodeStats& codes) const {
        return static_cast<float>(step_ * codes.step / unit_);
    }

  private:
    double multiplier_;
    double step_;
    double inverse_step_;
    double unit_;    // of the values with offsets: along, or 1
    double length_;  // at least |p|
    double reach_;   // at least |step * g|
    bool along_;
    bool offsets_;
    // error = fixed + per_constant * |constant| + per_norm * |center| + per_code * S
    //       + per_error * E + per_offset * O + per_square * (S + E)^2 + per_shift * |c| (S + E)
    double fixed_;
    double per_constant_;
    double per_norm_;
    double per_shift_;
    double per_code_;
    double per_error_;
    double per_offset_;
    double per_square_;
};

}  // namespace vecrecall::search
