// Limits on how many items of one group a list may hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vecrecall {

// At most `limit` items of one group (an author, a category) in a list. Built once, used by any
// number of merges at once.
class Caps {
  public:
    // Item ids[i] is of groups[i], any number; other items are free. Throws std::invalid_argument
    // for a negative or repeated id.
    Caps(const std::int64_t* ids, const std::int64_t* groups, std::size_t n, std::int64_t limit);
    Caps(Caps&&) noexcept;
    Caps& operator=(Caps&&) noexcept;
    ~Caps();

    std::int64_t limit() const { return limit_; }
    std::size_t n_groups() const { return n_groups_; }
    // How many items have a group.
    std::size_t size() const;
    // These items and the group of each, in the order given: a Caps of them is as this one.
    void members(std::int64_t* ids, std::int64_t* groups) const;
    // 0 to n_groups() - 1, or -1 for a free item.
    std::int64_t group(std::int64_t id) const;

  private:
    struct Table;
    std::unique_ptr<const Table> table_;
    std::size_t n_groups_ = 0;
    std::int64_t limit_;
};

}  // namespace vecrecall
