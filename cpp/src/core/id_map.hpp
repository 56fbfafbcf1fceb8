// From item ids to row numbers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "platform/at_fork.hpp"
#include "platform/canceling.hpp"

namespace vecrecall {

// Throws std::invalid_argument for a negative or repeated id.
void check_ids(const std::int64_t* ids, std::size_t n);

class IdMap {
  public:
    // ids == null: id i is row i. Ids are unique and not negative; they are copied or borrowed.
    IdMap(const std::int64_t* ids, std::size_t n, bool copy = true);
    ~IdMap();
    IdMap(const IdMap&) = delete;
    IdMap& operator=(const IdMap&) = delete;

    std::size_t size() const { return n_; }
    // Of the ids, borrowed ones too, and of the table once it is made.
    std::size_t bytes() const;
    std::int64_t id(std::size_t row) const {
        return ids_ ? ids_[row] : static_cast<std::int64_t>(row);
    }
    // The row of an id, or -1. Safe from many threads.
    std::int64_t row(std::int64_t id) const;
    // Before row() for each of several ids: what it reads lies anywhere. A few dozen at a time.
    void prefetch(const std::int64_t* ids, std::size_t n) const;
    // Row by row, or null for the identity.
    const std::int64_t* ids() const { return ids_; }

  private:
    struct Table;

    const Table& table() const;

    std::size_t n_;
    std::vector<std::int64_t> own_ids_;
    const std::int64_t* ids_ = nullptr;
    mutable std::atomic<const Table*> table_{nullptr};  // made at the first look-up
    mutable at_fork::PerProcess<canceling::Turn> making_;
};

}  // namespace vecrecall
