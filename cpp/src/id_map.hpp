// From item ids to row numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace vecrecall {

// Throws std::invalid_argument for a negative or repeated id.
void check_ids(const std::int64_t* ids, std::size_t n);

class IdMap {
  public:
    // ids == null: id i is row i. Ids are unique and not negative.
    IdMap(const std::int64_t* ids, std::size_t n);

    std::size_t size() const { return n_; }
    std::int64_t id(std::size_t row) const {
        return ids_.empty() ? static_cast<std::int64_t>(row) : ids_[row];
    }
    // The row of an id, or -1. Safe from many threads.
    std::int64_t row(std::int64_t id) const;

  private:
    std::size_t n_;
    std::vector<std::int64_t> ids_;  // empty: the identity
    // Open addressing over row + 1, 0 for a free slot; made at the first look-up.
    mutable std::once_flag built_;
    mutable std::vector<std::uint32_t> slots_;
};

}  // namespace vecrecall
