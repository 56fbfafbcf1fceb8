#include "search/order.hpp"

#include <algorithm>
#include <numeric>

#include "platform/canceling.hpp"
#include "search/segment.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Squared lengths of Gaussian rows of 64 dimensions spread by 1.3 between median and 95 %; ordering
// them gains nothing. From 2.25 (lengths: 1.5) on it does.
constexpr double kWorthSpread = 2.25;

bool worth_ordering(const std::vector<double>& squares) {
    std::vector<double> sample;
    const std::size_t stride = std::max<std::size_t>(1, squares.size() / 4096);
    for (std::size_t i = 0; i < squares.size(); i += stride) sample.push_back(squares[i]);
    std::sort(sample.begin(), sample.end());
    return sample[sample.size() / 20 * 19] > kWorthSpread * sample[sample.size() / 2];
}

}  // namespace

std::vector<std::uint32_t> order_by_length(const kernels::KernelTable& table, const Rows& rows,
                                           const double* center, bool longest_first, int threads) {
    std::vector<double> squares(rows.size());
    parallel_for(blocks_for(rows.size()), threads, [&](std::size_t block) {
        const std::size_t first = block * kBlockItems;
        const std::size_t n = std::min(kBlockItems, rows.size() - first);
        for (std::size_t i = first; i < first + n; ++i) {
            table.sum_squared_differences(center, rows.row(i), rows.dim(), nullptr, 1,
                                          squares.data() + i);
        }
    });
    if (!worth_ordering(squares)) return {};
    std::vector<std::uint32_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0U);
    canceling::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        if (squares[a] == squares[b]) return a < b;
        return longest_first == (squares[a] > squares[b]);
    });
    return order;
}

}  // namespace vecrecall::search
