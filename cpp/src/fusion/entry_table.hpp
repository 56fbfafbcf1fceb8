// The one de-duplication by id: from ids to entries 0, 1, 2, ... in order of arrival.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "core/hashing.hpp"
#include "platform/canceling.hpp"
#include "platform/memory.hpp"

namespace vecrecall::fusion {

inline constexpr std::uint32_t kNoEntry = std::numeric_limits<std::uint32_t>::max();

// The entries of one list in progress. A value: in a local variable its state is in registers.
class Entries {
  public:
    struct Found {
        std::uint32_t entry;
        bool fresh;
    };

    // Whether an id is new is a coin's toss, so nothing branches on it: a free slot leads to the
    // entry after the last, where the id already waits.
    Found insert(std::int64_t id) {
        ids_[size_] = id;
        for (std::size_t s = hash_id(id) >> shift_;; s = (s + 1) & mask_) {
            const std::uint32_t serial = slots_[s];
            const std::uint32_t entry = std::min(serial - base_, size_);  // below base: wraps
            if (ids_[entry] != id) [[unlikely]]
                continue;
            const bool fresh = serial < base_;
            slots_[s] = base_ + entry;
            size_ += fresh ? 1 : 0;
            return {entry, fresh};
        }
    }

    std::uint32_t find(std::int64_t id) const {
        for (std::size_t s = hash_id(id) >> shift_; slots_[s] >= base_; s = (s + 1) & mask_) {
            if (ids_[slots_[s] - base_] == id) return slots_[s] - base_;
        }
        return kNoEntry;
    }

    std::uint32_t size() const { return size_; }
    const std::int64_t* ids() const { return ids_; }

  private:
    friend class EntryTable;
    std::uint32_t* slots_ = nullptr;  // base + entry; below base: free
    std::int64_t* ids_ = nullptr;
    std::size_t mask_ = 0;
    int shift_ = 0;
    std::uint32_t base_ = 0;
    std::uint32_t size_ = 0;
};

// The memory of `Entries`, reused from list to list. Serial numbers go on from list to list, which
// frees all slots without touching them.
class EntryTable {
  public:
    // Room for so many distinct ids; what was handed out before is void.
    Entries start(std::size_t most) {
        if (most >= kNoEntry / 2) throw std::length_error("a row: expected fewer than 2^31 items");
        // A load of at most an eighth: few second probes. At first a quarter: it may be the only
        // list, and then what counts is how much there is to clear.
        const HashShape shape((slots_.empty() ? 2 : 4) * most);
        if (slots_.size() < shape.slots || next_ > kNoEntry - most) {
            at_least(slots_, shape.slots);
            canceling::fill(slots_.data(), slots_.size(), std::uint32_t{0});
            next_ = 1;
        }
        Entries entries;
        entries.slots_ = slots_.data();
        entries.ids_ = at_least(ids_, most + 1);
        entries.mask_ = shape.slots - 1;
        entries.shift_ = shape.shift;
        entries.base_ = next_;
        next_ += static_cast<std::uint32_t>(most);
        return entries;
    }

  private:
    Buffer<std::uint32_t> slots_;
    Buffer<std::int64_t> ids_;
    std::uint32_t next_ = 1;
};

}  // namespace vecrecall::fusion
