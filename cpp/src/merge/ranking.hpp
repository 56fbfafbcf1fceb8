// Score descending, id ascending, of which only the first are wanted.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vecrecall::merging {

class Ranking {
  public:
    // The k best of n entries, in order, or fewer if there are not so many. A score is not NaN and
    // not -0; ids are those of the entries; only those that are `wanted` take part.
    template <class Wanted>
    std::span<const std::uint32_t> best(const float* scores, std::size_t n, std::size_t k,
                                        const std::int64_t* ids, const Wanted& wanted) {
        reserve(n);
        std::size_t size = 0;
        for (std::size_t e = 0; e < n; ++e) {
            keys_[size] = std::uint64_t{descending(scores[e])} << 32 | e;
            size += wanted(e) ? 1 : 0;  // nothing branches on it
        }
        return sorted(size, k, ids);
    }

    std::span<const std::uint32_t> best(const float* scores, std::size_t n, std::size_t k,
                                        const std::int64_t* ids) {
        return best(scores, n, k, ids, [](std::size_t) { return true; });
    }

  private:
    // Ascending as an integer where the score descends.
    static std::uint32_t descending(float score) {
        const auto bits = std::bit_cast<std::uint32_t>(score);
        return (bits >> 31) != 0 ? bits : bits ^ 0x7FFFFFFFU;
    }

    void reserve(std::size_t n);
    std::span<const std::uint32_t> sorted(std::size_t n, std::size_t k, const std::int64_t* ids);
    std::size_t spread(std::size_t n, std::size_t k);
    void sort_crowded(const std::int64_t* ids);

    std::vector<std::uint64_t> keys_;    // descending(score), entry
    std::vector<std::uint64_t> spread_;  // by bucket
    std::vector<std::uint32_t> ends_;    // of buckets
    std::vector<std::uint32_t> order_;
};

}  // namespace vecrecall::merging
