// The list of one user in progress: no item twice, none that is excluded, no cap exceeded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "fusion/row.hpp"
#include "platform/memory.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall::fusion {

// How much of every group the list holds.
class CapCounts {
  public:
    explicit CapCounts(const std::vector<const Caps*>& caps);

    bool empty() const { return counts_.empty(); }
    void clear();
    bool allow(std::int64_t id) const;
    void count(std::int64_t id);

  private:
    struct Count {
        const Caps* caps;
        std::vector<std::int64_t> of_group;
        std::vector<std::int64_t> touched;
    };
    std::vector<Count> counts_;
};

class OutputList {
  public:
    explicit OutputList(const MergeFilters& filters) : filters_(filters), caps_(filters.caps) {}

    // An empty list of at most k items of the row.
    void start(const Row& items, std::size_t row, std::size_t k);

    std::size_t size() const { return size_; }
    std::size_t room() const { return k_ - size_; }
    bool capped() const { return !caps_.empty(); }
    std::span<const std::uint32_t> order() const { return {order_.data(), size_}; }

    // How many of the row's items are excluded.
    std::size_t n_excluded() const { return n_excluded_; }
    bool is_taken(std::uint32_t entry) const { return places_[entry] < kExcluded; }
    // By entry: the place of a taken item in the list, from 0; others: more than any.
    const std::uint32_t* places() const { return places_.data(); }

    // Whether the item may be taken now. An item that a cap forbids stays forbidden.
    bool usable(std::uint32_t entry) {
        if (!is_free(entry)) return false;
        if (caps_.empty() || caps_.allow(items_->ids()[entry])) return true;
        places_[entry] = kExcluded;
        return false;
    }

    // The item is usable and there is room.
    void take(std::uint32_t entry) {
        if (!caps_.empty()) caps_.count(items_->ids()[entry]);
        places_[entry] = static_cast<std::uint32_t>(size_);
        order_[size_++] = entry;
    }

    // Puts the list into another order of the same items.
    void reorder(std::span<const std::uint32_t> order);

  private:
    static constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::uint32_t kExcluded = kFree - 1;  // excluded, or over a cap

    bool is_free(std::uint32_t entry) const { return places_[entry] == kFree; }

    const MergeFilters& filters_;
    CapCounts caps_;
    const Row* items_ = nullptr;
    Buffer<std::uint32_t> places_;  // by entry
    Buffer<std::uint32_t> order_;
    std::size_t n_excluded_ = 0;
    std::size_t size_ = 0;
    std::size_t k_ = 0;
};

}  // namespace vecrecall::fusion
