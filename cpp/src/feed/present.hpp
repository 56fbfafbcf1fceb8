// The present time of a cluster, by its clicks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "feed/decay.hpp"

namespace vecrecall::feed {

// The newest click of those that are near each other; one that is far from it, of a clock that is
// wrong, does not move it. So many of them without one between that is near do.
struct Present {
    static constexpr double kNear = 16;          // half-lives
    static constexpr std::int64_t kEnough = 32;  // clicks in a row, all on one side

    double time = 0;
    double other = 0;           // nearest to it of the far ones
    std::int64_t against = -1;  // how many there are; -1 before the first click

    // Returns whether it jumped.
    bool note(double when, double half_life);
};

inline bool Present::note(double when, double half_life) {
    if (against < 0) {
        *this = {when, when, 0};
        return true;
    }
    const double ahead = half_lives(time, when, half_life);
    if (ahead <= kNear && ahead >= -kNear) {
        time = std::max(time, when);
        against = 0;
        return false;
    }
    if (against == 0 || (other > time) != (when > time)) {
        other = when;
        against = 1;
        return false;
    }
    other = when > time ? std::min(other, when) : std::max(other, when);
    if (++against < kEnough) return false;
    time = other;
    against = 0;
    return true;
}

}  // namespace vecrecall::feed
