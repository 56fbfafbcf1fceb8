// Slots of a list, split among channels.
#pragma once

#include <cstdint>
#include <span>

namespace vecrecall::fusion {

struct Portion {
    std::uint64_t share;
    std::int64_t low;
    std::int64_t high;
    bool open;           // false: keeps the slots it has, which are not part of the total
    std::int64_t slots;  // the answer
};

// Splits `total` among the open portions by share: largest remainder, ties to the earlier; equally
// where all shares are 0. Portions out of their bounds are set to the bound and closed, and the
// rest is split again until none is. The sum of the lower bounds is at most the total; where the
// sum of the upper ones is less, all get their upper bound.
void split(std::int64_t total, std::span<Portion> portions);

}  // namespace vecrecall::fusion
