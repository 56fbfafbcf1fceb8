// Where the items are that an index was given after it was built.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/hashing.hpp"

namespace vecrecall::search {

// From ids to rows, one writer and any number of readers. Rows are only ever put in: a reader
// passes over those that its own items do not have, or have no longer. Where a row of one that came
// later is read or not makes no difference, so that no order between slots is needed.
class AddedRows {
  public:
    explicit AddedRows(std::size_t room) : shape_(room), room_(room), slots_(shape_.slots) {}

    std::size_t room() const { return room_; }
    std::size_t bytes() const { return slots_.size() * sizeof(slots_[0]); }

    // There is room.
    void put(std::int64_t id, std::uint32_t row) {
        std::size_t s = slot(id);
        while (slots_[s].load(std::memory_order_relaxed) != 0) s = (s + 1) & (shape_.slots - 1);
        slots_[s].store(row + 1, std::memory_order_relaxed);
        --room_;
    }

    // The row put in for an id that `holds` says is still its row, or -1.
    template <class Holds>
    std::int64_t find(std::int64_t id, Holds holds) const {
        for (std::size_t s = slot(id);; s = (s + 1) & (shape_.slots - 1)) {
            const std::uint32_t found = slots_[s].load(std::memory_order_relaxed);
            if (found == 0) return -1;
            if (holds(found - 1)) return found - 1;
        }
    }

  private:
    std::size_t slot(std::int64_t id) const { return hash_id(id) >> shape_.shift; }

    HashShape shape_;
    std::size_t room_;                               // the writer's alone
    std::vector<std::atomic<std::uint32_t>> slots_;  // row + 1, 0 for a free one
};

}  // namespace vecrecall::search
