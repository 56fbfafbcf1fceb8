#include "feed/counts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "feed/decay.hpp"

namespace vecrecall::feed {
namespace {

constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
constexpr double kNear = 0x1p12;  // half-lives that leave room for 2^-36 in float64

}  // namespace

std::int64_t key_of_log2(double log) {
    if (std::isinf(log)) return kLowest;
    const double steps = std::min(std::max(log, -kKeyReach), kKeyReach) * kKeySteps;
    return static_cast<std::int64_t>(steps + std::copysign(0.5, steps));
}

std::int64_t Counts::key(const Count& count, double half_life) const {
    return key_of_log2(count.sums.log2_at(present_.time, base_, half_life));
}

// The base follows the present. A click of the far future counts no more than one of now when it is
// decided what goes, else it would stay until then, and others go for it.
void Counts::follow(double time, double half_life, std::size_t capacity) {
    const bool jumped = present_.note(time, half_life);
    if (!jumped && half_lives(base_, present_.time, half_life) <= kNear) return;
    base_ = present_.time;
    if (counts_.size() == capacity) find_keys(half_life);
}

void Counts::find_keys(double half_life) {
    for (Count& c : counts_) c.key = key(c, half_life);
    weakest_.clear();
}

void Counts::add(std::int64_t item, double time, double weight, double half_life,
                 std::size_t capacity) {
    follow(time, half_life, capacity);
    const std::uint32_t e = table_.find(item, id_of());
    if (e == kNoEntry) {
        Count fresh{item, kLowest, {}};
        if (weight > 0) fresh.sums.add(time, weight, half_life);
        place(fresh, half_life, capacity);
        return;
    }
    if (weight == 0) return;
    Count& c = counts_[e];
    c.sums.add(time, weight, half_life);
    if (counts_.size() < capacity) return;
    c.key = std::max(c.key, key(c, half_life));  // never down by a rounding error
}

// A new item always gets in: were it compared with the others, one that has just become popular
// could be turned away click by click. There are no keys before the cluster is full.
void Counts::place(const Count& fresh, double half_life, std::size_t capacity) {
    auto e = static_cast<std::uint32_t>(counts_.size());
    if (e < capacity) {
        counts_.push_back(fresh);
        table_.insert(fresh.item, e, id_of());
        if (counts_.size() == capacity) find_keys(half_life);
        return;
    }
    if (weakest_.empty()) weakest_.build(e, key_of(), id_of());
    e = weakest_.find(key_of());
    table_.erase(counts_[e].item, id_of());
    Count& c = counts_[e];
    c = fresh;
    c.key = key(c, half_life);
    table_.insert(c.item, e, id_of());
    weakest_.replace(c.key, c.item);
}

void Counts::restore(double base, const Present& present, std::vector<Count> counts) {
    base_ = base;
    present_ = present;
    counts_ = std::move(counts);
    for (std::uint32_t e = 0; e < counts_.size(); ++e) {
        table_.insert(counts_[e].item, e, id_of());
    }
}

}  // namespace vecrecall::feed
