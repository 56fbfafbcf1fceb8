// Score descending, id ascending, of which only the first are wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/registry.hpp"
#include "platform/memory.hpp"

namespace vecrecall::fusion {

class Ranking {
  public:
    Ranking() : kernels_(kernels::active()) {}

    // The k best of n entries, in order, or fewer if there are not so many. A score is not NaN and
    // not -0; ids are those of the entries.
    std::span<const std::uint32_t> best(const float* scores, std::size_t n, std::size_t k,
                                        const std::int64_t* ids);

  private:
    std::size_t choose(const float* scores, std::size_t n, std::size_t k);
    std::size_t spread(std::size_t n, std::size_t k);
    void sort_crowded(const std::int64_t* ids);

    const kernels::KernelTable& kernels_;
    Buffer<std::uint64_t> keys_;       // descending(score), entry
    Buffer<std::uint64_t> spread_;     // by bucket
    std::vector<std::uint32_t> ends_;  // of buckets
    Buffer<std::uint32_t> order_;
};

}  // namespace vecrecall::fusion
