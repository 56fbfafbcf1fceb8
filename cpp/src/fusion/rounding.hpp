// From float64 sums to the scores that are returned.
#pragma once

#include <cmath>
#include <limits>

namespace vecrecall::fusion {

// Rounded once, -0 as +0. Infinities of both signs have no sum; such an item goes last.
inline float rounded(double value) {
    const float score = static_cast<float>(value) + 0.0F;
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

}  // namespace vecrecall::fusion
