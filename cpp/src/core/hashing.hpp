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

// A set of ids >= 0; others are never members. Ids lie in buckets of one cache line each: a look-up
// reads one line, and has no branch that depends on the answer.
class IdSet {
  public:
    IdSet() = default;
    IdSet(const std::int64_t* begin, const std::int64_t* end);

    bool contains(std::int64_t id) const {
        if (buckets_.empty()) return false;
        std::size_t b = hash_id(id) >> shift_;
        while (buckets_[b].passed_on(id)) b = (b + 1) & (buckets_.size() - 1);
        return (static_cast<unsigned>(buckets_[b].holds(id)) & static_cast<unsigned>(id >= 0)) != 0;
    }

  private:
    static constexpr std::size_t kIds = 8;

    struct alignas(64) Bucket {
        std::int64_t ids[kIds];  // -1: free, behind those that are not

        bool holds(std::int64_t id) const {
            unsigned found = 0;
            for (const std::int64_t other : ids) found |= static_cast<unsigned>(other == id);
            return found != 0;
        }
        std::size_t used() const {
            std::size_t count = 0;
            for (const std::int64_t other : ids) count += static_cast<std::size_t>(other >= 0);
            return count;
        }
        // An id that is not in a full bucket may be in the next.
        bool passed_on(std::int64_t id) const { return ids[kIds - 1] >= 0 && !holds(id); }
    };

    std::vector<Bucket> buckets_;
    int shift_ = 0;
};

inline IdSet::IdSet(const std::int64_t* begin, const std::int64_t* end) {
    if (begin == end) return;
    const auto n = static_cast<std::size_t>(end - begin);
    const HashShape shape(n < kIds ? kIds : n);  // two buckets at least: no shift by 64
    Bucket none{};
    for (std::int64_t& id : none.ids) id = -1;
    buckets_.assign(shape.slots / kIds, none);
    shift_ = shape.shift + std::countr_zero(kIds);
    for (const std::int64_t* id = begin; id != end; ++id) {
        if (*id < 0) continue;
        std::size_t b = hash_id(*id) >> shift_;
        while (buckets_[b].passed_on(*id)) b = (b + 1) & (buckets_.size() - 1);
        if (!buckets_[b].holds(*id)) buckets_[b].ids[buckets_[b].used()] = *id;
    }
}

}  // namespace vecrecall
