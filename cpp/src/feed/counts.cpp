#include "feed/counts.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "feed/decay.hpp"

namespace vecrecall::feed {
namespace {

constexpr double kLargest = std::numeric_limits<double>::max();
constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();

// Keys are whole numbers of 2^-36 half-lives: counts that differ by less than 1e-11 of themselves
// mostly are equal, as they are without rounding errors.
constexpr double kKeySteps = 0x1p36;
constexpr double kKeyReach = 0x1p26;  // half-lives to each side that 64 bits hold
constexpr double kNear = 0x1p12;      // half-lives that leave room for 2^-36 in float64

}  // namespace

// log2 of the count at the base time, in steps.
std::int64_t Counts::key(double value, double time, double half_life) const {
    if (value == 0) return kLowest;
    const double log = log2(value) + half_lives(base_, time, half_life);
    return static_cast<std::int64_t>(std::min(std::max(log, -kKeyReach), kKeyReach) * kKeySteps);
}

// The base follows the newest click; a single click of the far future does not hold it there.
void Counts::keep_base_near(double time, double half_life) {
    const double ahead = half_lives(base_, time, half_life);
    if (!counts_.empty() && ahead <= kNear && ahead >= -kKeyReach / 2) return;
    base_ = time;
    for (Count& c : counts_) c.key = key(c.value, c.time, half_life);
    weakest_.clear();
}

void Counts::add(std::int64_t item, double time, double weight, double half_life,
                 std::size_t capacity) {
    keep_base_near(time, half_life);
    const std::uint32_t e = table_.find(item, id_of());
    if (e == kNoEntry) {
        place({item, weight, time, key(weight, time, half_life)}, capacity);
        return;
    }
    if (weight == 0) return;
    Count& c = counts_[e];
    if (time >= c.time) {
        c.value = decayed(c.value, c.time, time, half_life) + weight;
        c.time = time;
    } else {
        c.value += decayed(weight, time, c.time, half_life);
    }
    c.value = std::min(c.value, kLargest);
    c.key = std::max(c.key, key(c.value, c.time, half_life));  // never down by a rounding error
}

// A new item always gets in: were it compared with the others, one that has just become popular
// could be turned away click by click.
void Counts::place(const Count& count, std::size_t capacity) {
    auto e = static_cast<std::uint32_t>(counts_.size());
    if (e < capacity) {
        counts_.push_back(count);
        table_.insert(count.item, e, id_of());
        return;
    }
    if (weakest_.empty()) weakest_.build(e, key_of(), id_of());
    e = weakest_.find(key_of());
    table_.erase(counts_[e].item, id_of());
    counts_[e] = count;
    table_.insert(count.item, e, id_of());
    weakest_.replace(count.key, count.item);
}

void Counts::restore(double base, std::vector<Count> counts) {
    base_ = base;
    counts_ = std::move(counts);
    for (std::uint32_t e = 0; e < counts_.size(); ++e) {
        table_.insert(counts_[e].item, e, id_of());
    }
}

}  // namespace vecrecall::feed
