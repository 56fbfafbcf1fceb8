// From ids to entries, whose ids are kept elsewhere: id_of(entry) tells them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/hashing.hpp"

namespace vecrecall::feed {

inline constexpr std::uint32_t kNoEntry = std::numeric_limits<std::uint32_t>::max();

class IdTable {
  public:
    template <class IdOf>
    std::uint32_t find(std::int64_t id, const IdOf& id_of) const {
        if (slots_.empty()) return kNoEntry;
        for (std::size_t s = slot(id); slots_[s] != 0; s = next(s)) {
            if (id_of(slots_[s] - 1) == id) return slots_[s] - 1;
        }
        return kNoEntry;
    }

    // The id is new.
    template <class IdOf>
    void insert(std::int64_t id, std::uint32_t entry, const IdOf& id_of) {
        if (2 * (size_ + 1) > slots_.size()) grow(id_of);
        put(id, entry);
        ++size_;
    }

    // The id is there. Whatever had to step aside for it moves back.
    template <class IdOf>
    void erase(std::int64_t id, const IdOf& id_of) {
        std::size_t hole = slot(id);
        while (id_of(slots_[hole] - 1) != id) hole = next(hole);
        for (std::size_t s = next(hole); slots_[s] != 0; s = next(s)) {
            const std::size_t home = slot(id_of(slots_[s] - 1));
            const std::size_t mask = slots_.size() - 1;
            if (((s - home) & mask) < ((s - hole) & mask)) continue;  // its home is after the hole
            slots_[hole] = slots_[s];
            hole = s;
        }
        slots_[hole] = 0;
        --size_;
    }

    void prefetch(std::int64_t id) const {
        if (!slots_.empty()) __builtin_prefetch(slots_.data() + slot(id));
    }

    // The first entry that find() will look at, or kNoEntry.
    std::uint32_t first_look(std::int64_t id) const {
        return slots_.empty() ? kNoEntry : slots_[slot(id)] - 1;
    }

  private:
    std::size_t slot(std::int64_t id) const { return hash_id(id) >> shift_; }
    std::size_t next(std::size_t s) const { return (s + 1) & (slots_.size() - 1); }

    void put(std::int64_t id, std::uint32_t entry) {
        std::size_t s = slot(id);
        while (slots_[s] != 0) s = next(s);
        slots_[s] = entry + 1;
    }

    template <class IdOf>
    void grow(const IdOf& id_of) {
        const HashShape shape(2 * size_ + 4);
        std::vector<std::uint32_t> old(shape.slots, 0);
        old.swap(slots_);
        shift_ = shape.shift;
        for (const std::uint32_t taken : old) {
            if (taken != 0) put(id_of(taken - 1), taken - 1);
        }
    }

    std::vector<std::uint32_t> slots_;  // 0: free, else entry + 1
    std::size_t size_ = 0;
    int shift_ = 0;
};

}  // namespace vecrecall::feed
