// The one hash of ids, and a small set made with it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vecrecall {

// Fibonacci hashing after folding the high half in: consecutive ids spread, so do multiples of 2^k.
inline std::uint64_t hash_id(std::int64_t id) {
    auto x = static_cast<std::uint64_t>(id);
    x ^= x >> 32;
    return x * 0x9E3779B97F4A7C15ULL;
}

// Slots for n entries at a load of at most one half, and the shift that maps a hash to a slot.
struct HashShape {
    std::size_t slots;
    int shift;

    explicit HashShape(std::size_t n)
        : slots(std::bit_ceil(n < 4 ? std::size_t{8} : 2 * n)),
          shift(64 - std::countr_zero(slots)) {}
};

// A set of ids >= 0; others are never members.
class IdSet {
  public:
    IdSet() = default;
    IdSet(const std::int64_t* begin, const std::int64_t* end);

    bool empty() const { return slots_.empty(); }
    bool contains(std::int64_t id) const {
        if (slots_.empty()) return false;
        const std::uint64_t hash = hash_id(id);
        const std::size_t bit = hash >> filter_shift_;
        if ((filter_[bit / 64] >> (bit % 64) & 1) == 0) return false;
        std::size_t s = hash >> shift_;
        for (; slots_[s] >= 0; s = (s + 1) & (slots_.size() - 1)) {
            if (slots_[s] == id) return true;
        }
        return false;
    }

    // Before contains() for several ids: their slots lie anywhere.
    void prefetch(std::int64_t id) const {
        if (!slots_.empty()) __builtin_prefetch(slots_.data() + (hash_id(id) >> shift_));
    }

  private:
    std::vector<std::int64_t> slots_;  // -1: free
    // Four bits a slot: tells most ids that are not members, from a sixteenth of the memory.
    std::vector<std::uint64_t> filter_;
    int shift_ = 0;
    int filter_shift_ = 0;
};

inline IdSet::IdSet(const std::int64_t* begin, const std::int64_t* end) {
    if (begin == end) return;
    const HashShape shape(static_cast<std::size_t>(end - begin));
    slots_.assign(shape.slots, -1);
    shift_ = shape.shift;
    filter_shift_ = shape.shift - 2;
    filter_.assign((4 * shape.slots + 63) / 64, 0);
    for (const std::int64_t* id = begin; id != end; ++id) {
        if (*id < 0) continue;
        const std::uint64_t hash = hash_id(*id);
        const std::size_t bit = hash >> filter_shift_;
        filter_[bit / 64] |= std::uint64_t{1} << (bit % 64);
        std::size_t s = hash >> shift_;
        while (slots_[s] >= 0 && slots_[s] != *id) s = (s + 1) & (slots_.size() - 1);
        slots_[s] = *id;
    }
}

}  // namespace vecrecall
