// One item's clicks as a few sums, so that those later than now can be told from the others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vecrecall::feed {

// Decayed weights as of `time`, which is near the newest of the clicks; nothing is rescanned as
// time goes by. `rest` is what rounding took from `value`: a million additions leave the sum as
// good as one.
struct Sum {
    double value;
    double rest;
    double time;
    double newest;

    double total() const { return value + rest; }

    void add(const Sum& later, double half_life);
};

// By their newest clicks, ascending, no two alike. Of one too many those two become one whose union
// can cost least: it costs what the earlier sum loses until the newest click of the later, times
// the share that this is, since small shares soon are past. A busy item's clicks so become one sum,
// and those of the far future others.
class Sums {
  public:
    static constexpr std::size_t kMost = 4;

    // A click of weight > 0.
    void add(double time, double weight, double half_life);

    // As they were saved.
    void push_back(const Sum& sum) { sums_[size_++] = sum; }

    std::span<const Sum> all() const { return {sums_.data(), size_}; }

    // log2 of what they come to at `now`, a sum of later clicks as of its newest; seen from `base`.
    // It neither underflows nor overflows. -infinity for nothing.
    double log2_at(double now, double base, double half_life) const;

  private:
    std::size_t least_loss(const std::array<Sum, kMost + 1>& sums, double half_life) const;

    std::array<Sum, kMost> sums_;
    std::uint32_t size_ = 0;
};

}  // namespace vecrecall::feed
