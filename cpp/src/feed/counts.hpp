// The decayed counts of a cluster's items, the strongest of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "feed/eviction_heap.hpp"
#include "feed/id_table.hpp"
#include "feed/present.hpp"
#include "feed/sums.hpp"

namespace vecrecall::feed {

// `key` tells which of two counts of a full cluster is larger, at any time, had clicks of the far
// future come now.
struct Count {
    std::int64_t item;
    std::int64_t key;
    Sums sums;
};

// Keys are whole numbers of 2^-36 half-lives: counts that differ by less than 1e-11 of themselves
// mostly are equal, as they are without rounding errors.
inline constexpr double kKeySteps = 0x1p36;
inline constexpr double kKeyReach = 0x1p26;  // half-lives to each side that 64 bits hold

// log2 of a count, as of some base, in steps.
std::int64_t key_of_log2(double log);

class Counts {
  public:
    void add(std::int64_t item, double time, double weight, double half_life, std::size_t capacity);

    std::span<const Count> all() const { return counts_; }

    // The time that keys are relative to.
    double base() const { return base_; }
    const Present& present() const { return present_; }

    // Of distinct items, into a table with nothing in it.
    void restore(double base, const Present& present, std::vector<Count> counts);

    void prefetch_slot(std::int64_t item) const { table_.prefetch(item); }
    void prefetch(std::int64_t item) const {
        const std::uint32_t e = table_.first_look(item);
        if (e != kNoEntry) __builtin_prefetch(&counts_[e]);
    }

  private:
    auto id_of() const {
        return [this](std::uint32_t e) { return counts_[e].item; };
    }
    auto key_of() const {
        return [this](std::uint32_t e) { return counts_[e].key; };
    }
    std::int64_t key(const Count& count, double half_life) const;
    void follow(double time, double half_life, std::size_t capacity);
    void find_keys(double half_life);
    void place(const Count& fresh, double half_life, std::size_t capacity);

    std::vector<Count> counts_;
    IdTable table_;
    EvictionHeap weakest_;  // empty until the table is full
    Present present_;
    double base_ = 0;
};

}  // namespace vecrecall::feed
