// The certificate: from a scan's raw value to an interval that holds the item's score.
#pragma once

#include <cmath>
#include <limits>

#include "scan/items.hpp"
#include "scan/query.hpp"

namespace vecrecall::scan {

// For one query and one block: |score before its rounding to float32 - (constant +
// multiplier * raw)| <= error. An infinite error certifies nothing: every item is rescored.
struct Certificate {
    double constant;
    double multiplier;
    double error;

    bool certifies() const { return error < std::numeric_limits<double>::infinity(); }

    // Rounding to nearest is monotonic, so these bound the float32 score.
    float lowest(double raw) const {
        return certifies() ? static_cast<float>(constant + multiplier * raw - error)
                           : -std::numeric_limits<float>::infinity();
    }
    float highest(double raw) const {
        return certifies() ? static_cast<float>(constant + multiplier * raw + error)
                           : std::numeric_limits<float>::infinity();
    }

    // A raw value below this cannot belong to an item whose float32 score is >= score.
    float raw_threshold(float score) const;
};

Certificate certify_f32(const Items& items, const BlockStats& block, const Query& query);

}  // namespace vecrecall::scan
