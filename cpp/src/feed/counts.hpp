// The decayed counts of a cluster's items, the strongest of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "feed/id_table.hpp"
#include "feed/weakest.hpp"

namespace vecrecall::feed {

// The count as of `time`, near the newest of the item's clicks; nothing is rescanned as time goes
// by. `rest` is what rounding took from `value`: a million additions leave the count as good as
// one. `key` tells which of two counts is larger, at any time.
struct Count {
    std::int64_t item;
    double value;
    double rest;
    double time;
    std::int64_t key;

    double total() const { return value + rest; }
    void add(double when, double weight, double half_life);
};

class Counts {
  public:
    void add(std::int64_t item, double time, double weight, double half_life, std::size_t capacity);

    std::span<const Count> all() const { return counts_; }

    // What keys are relative to.
    double base() const { return base_; }

    // Of distinct items, into a table with nothing in it.
    void restore(double base, std::vector<Count> counts);

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
    void keep_base_near(double time, double half_life);
    void place(const Count& count, std::size_t capacity);

    std::vector<Count> counts_;
    IdTable table_;
    Weakest weakest_;  // empty until the table is full
    double base_ = 0;
};

}  // namespace vecrecall::feed
