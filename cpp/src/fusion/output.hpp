// Writing of merged lists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "vecrecall/views.hpp"

namespace vecrecall::fusion {

// The list of a row: entries in order, then padding. score(i) is that of the i-th.
template <class Score>
void write_list(std::span<const std::uint32_t> order, const std::int64_t* ids, const Score& score,
                std::size_t row, const ListsOut& out) {
    const std::size_t n = std::min(out.width, order.size());
    std::int64_t* to_ids = out.ids + row * out.width;
    float* to_scores = out.scores + row * out.width;
    for (std::size_t i = 0; i < n; ++i) {
        to_ids[i] = ids[order[i]];
        to_scores[i] = score(i);
    }
    std::fill(to_ids + n, to_ids + out.width, std::int64_t{-1});
    std::fill(to_scores + n, to_scores + out.width, -std::numeric_limits<float>::infinity());
    out.counts[row] = static_cast<std::int32_t>(n);
}

}  // namespace vecrecall::fusion
