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
    void start(std::size_t most) {
        if (keys_.size() < most) keys_.resize(most);
        size_ = 0;
    }

    // Not NaN, not -0. Kept only if `wanted`, which nothing branches on.
    void add(float score, std::uint32_t entry, bool wanted = true) {
        keys_[size_] = std::uint64_t{descending(score)} << 32 | entry;
        size_ += wanted ? 1 : 0;
    }

    std::size_t size() const { return size_; }

    // The entries of the k best at least, in order; ids are those of entries.
    std::span<const std::uint32_t> best(std::size_t k, const std::int64_t* ids);

  private:
    // Ascending as an integer where the score descends.
    static std::uint32_t descending(float score) {
        const auto bits = std::bit_cast<std::uint32_t>(score);
        return (bits >> 31) != 0 ? bits : bits ^ 0x7FFFFFFFU;
    }

    std::size_t spread(std::size_t k);
    void sort_crowded(std::size_t end, const std::int64_t* ids);

    std::vector<std::uint64_t> keys_;    // descending(score), entry
    std::vector<std::uint64_t> sorted_;  // by bucket
    std::vector<std::uint32_t> ends_;    // of buckets
    std::vector<std::uint32_t> order_;
    std::size_t size_ = 0;
};

}  // namespace vecrecall::merging
