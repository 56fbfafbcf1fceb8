#include "feed/counts.hpp"

#include <algorithm>
#include <cmath>
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
constexpr double kStay = 16;          // half-lives that a count may be ahead of its time
constexpr double kNear = 0x1p12;      // half-lives that leave room for 2^-36 in float64

}  // namespace

// Clicks are added as of a time that stays while they are near it: were the sum decayed for each of
// them, the error of one factor would be raised to a high power.
void Count::add(double when, double weight, double half_life) {
    if (total() == 0) {  // as of any time
        value = weight;
        rest = 0;
        time = when;
        return;
    }
    double ahead = half_lives(time, when, half_life);
    if (ahead > kStay) {
        const double factor = exp2(-ahead);
        value *= factor;
        rest *= factor;
        time = when;
        ahead = 0;
    }
    const double term = weight * exp2(ahead);
    const double sum = value + term;
    if (sum > kLargest) {
        value = kLargest;
        rest = 0;
        return;
    }
    rest += value >= term ? (value - sum) + term : (term - sum) + value;
    value = sum;
}

// log2 of the count at the base time, in steps.
std::int64_t Counts::key(const Count& count, double half_life) const {
    const double total = count.total();
    if (total == 0) return kLowest;
    const double log = log2(total) + half_lives(base_, count.time, half_life);
    const double steps = std::min(std::max(log, -kKeyReach), kKeyReach) * kKeySteps;
    return static_cast<std::int64_t>(steps + std::copysign(0.5, steps));
}

// The base follows the newest click; a single click of the far future does not hold it there.
void Counts::keep_base_near(double time, double half_life) {
    const double ahead = half_lives(base_, time, half_life);
    if (!counts_.empty() && ahead <= kNear && ahead >= -kKeyReach / 2) return;
    base_ = time;
    for (Count& c : counts_) c.key = key(c, half_life);
    weakest_.clear();
}

void Counts::add(std::int64_t item, double time, double weight, double half_life,
                 std::size_t capacity) {
    keep_base_near(time, half_life);
    const std::uint32_t e = table_.find(item, id_of());
    if (e == kNoEntry) {
        Count fresh{item, weight, 0, time, 0};
        fresh.key = key(fresh, half_life);
        place(fresh, capacity);
        return;
    }
    if (weight == 0) return;
    Count& c = counts_[e];
    c.add(time, weight, half_life);
    c.key = std::max(c.key, key(c, half_life));  // never down by a rounding error
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
