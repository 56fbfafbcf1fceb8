// Rows shared out to threads, each with a workspace that it keeps from row to row.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "vecrecall/cancel.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::fusion {

// make() gives a workspace; each(workspace, row) is called once for every row.
template <class Make, class Each>
void parallel_rows(std::size_t rows, int threads, const Make& make, const Each& each) {
    constexpr std::size_t kBlock = 16;
    const std::size_t blocks = (rows + kBlock - 1) / kBlock;
    const int most = std::min(threads == 0 ? num_threads() : threads, kMaxThreads);
    std::atomic<std::size_t> next{0};
    parallel_for(std::min(blocks, static_cast<std::size_t>(most)), most, [&](std::size_t) {
        auto workspace = make();
        for (std::size_t b = next.fetch_add(1); b < blocks; b = next.fetch_add(1)) {
            check_cancelled();
            const std::size_t end = std::min(rows, (b + 1) * kBlock);
            for (std::size_t row = b * kBlock; row < end; ++row) each(workspace, row);
        }
    });
}

}  // namespace vecrecall::fusion
