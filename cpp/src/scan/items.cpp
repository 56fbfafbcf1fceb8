#include "scan/items.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/registry.hpp"
#include "scan/order.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::scan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Up to here a sum of d products 255 * 127 fits 32 bits.
constexpr std::size_t kMostCodeDims = 65536;

Buffer<float> copy_rows(const MatrixView& rows, const std::vector<std::uint32_t>& order,
                        int threads) {
    Buffer<float> owned(checked_product(rows.rows, rows.dim));
    parallel_for(blocks_for(rows.rows), threads, [&](std::size_t block) {
        const std::size_t first = block * kBlockItems;
        const std::size_t n = std::min(kBlockItems, rows.rows - first);
        float* to = owned.data() + first * rows.dim;
        if (order.empty()) {
            std::memcpy(to, rows.row(first), n * rows.dim * sizeof(float));
            return;
        }
        for (std::size_t i = 0; i < n; ++i) {
            std::copy_n(rows.row(order[first + i]), rows.dim, to + i * rows.dim);
        }
    });
    return owned;
}

std::vector<std::uint64_t> live_bits(std::size_t n) {
    std::vector<std::uint64_t> words(blocks_for(n) * kBlockItems / kernels::kWordItems, 0);
    std::fill(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(n / 64),
              ~std::uint64_t{0});
    if (n % 64 != 0) words[n / 64] = (std::uint64_t{1} << (n % 64)) - 1;
    return words;
}

}  // namespace

Items::Items(const ItemsView& items, Metric metric, const BuildOptions& options)
    : scored_{.rows = items.rows, .bias = nullptr, .metric = metric},
      stats_(blocks_for(items.rows.rows)),
      live_(live_bits(items.rows.rows)) {
    if (size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("vectors: expected fewer than 2^31 rows");
    }
    const kernels::KernelTable& table = kernels::active();
    centre_ = choose_centre(table, items.rows, metric);
    if (options.copy) take_rows(table, items, options.threads);
    take_ids(items.ids);
    if (items.bias) {
        bias_.resize(size());
        for (std::size_t i = 0; i < size(); ++i) bias_[i] = items.bias[given_row(i)];
        scored_.bias = bias_.data();
    }
    if (metric == Metric::kCosine) scales_ = Buffer<float>(size());
    if (metric == Metric::kL2) offsets_ = Buffer<float>(size());
    parallel_for(blocks(), options.threads, [&](std::size_t block) { derive_block(table, block); });
    if (options.codes && dim() <= kMostCodeDims) codes_ = Codes(*this, options.threads);
}

void Items::take_rows(const kernels::KernelTable& table, const ItemsView& items, int threads) {
    if (metric() != Metric::kCosine) {  // there all lengths are one
        const bool longest_first = metric() == Metric::kIp;
        order_ = order_by_length(table, items.rows, wide_centre(), longest_first, threads);
    }
    owned_rows_ = copy_rows(items.rows, order_, threads);
    scored_.rows.data = owned_rows_.data();
}

void Items::take_ids(const std::int64_t* ids) {
    if (order_.empty()) {
        ids_ = std::make_unique<IdMap>(ids, size());
        return;
    }
    if (ids) const IdMap checked(ids, size());  // whose errors name rows as they were given
    std::vector<std::int64_t> ordered(size());
    for (std::size_t i = 0; i < size(); ++i) {
        ordered[i] = ids ? ids[order_[i]] : static_cast<std::int64_t>(order_[i]);
    }
    ids_ = std::make_unique<IdMap>(ordered.data(), size());
}

std::vector<double> Items::inverse_lengths(const kernels::KernelTable& table, std::size_t first,
                                           std::size_t n) const {
    std::vector<double> products(n);
    std::vector<double> inverse(n);
    table.sum_products_and_squares(wide_centre(), scored_.rows.row(first), dim(), nullptr, n,
                                   products.data(), inverse.data());
    for (double& x : inverse) x = x > 0 ? 1.0 / std::sqrt(x) : 0.0;
    return inverse;
}

void Items::derive_block(const kernels::KernelTable& table, std::size_t block) {
    const std::size_t first = block * kBlockItems;
    const std::size_t n = std::min(kBlockItems, size() - first);
    BlockStats& stats = stats_[block];
    stats = {.radius = 0, .max_offset = 0, .top_offset = has_offsets() ? -kInfinity : 0};
    if (metric() == Metric::kCosine) derive_cosine(table, first, n, stats);
    else derive_differences(table, first, n, stats);
    if (has_offsets()) derive_offsets(first, n, stats);
}

void Items::derive_offsets(std::size_t first, std::size_t n, BlockStats& stats) const {
    std::vector<float> offsets(n);
    copy_offsets(first, n, offsets.data());
    for (const double offset : offsets) {
        stats.max_offset = std::max(stats.max_offset, std::fabs(offset));
        stats.top_offset = std::max(stats.top_offset, offset);
    }
    stats.max_offset *= kUp;
}

void Items::copy_offsets(std::size_t first, std::size_t n, float* to) const {
    if (metric() == Metric::kL2) {
        std::copy_n(offsets_.data() + first, n, to);
        return;
    }
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(scored_.bias[first + i]);
}

// |x/|x| - mu|^2 = 1 - 2 x.mu/|x| + |mu|^2, whose float64 error the added term covers.
void Items::derive_cosine(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                          BlockStats& stats) {
    std::vector<double> products(n);
    std::vector<double> squares(n);
    table.sum_products_and_squares(wide_centre(), scored_.rows.row(first), dim(), nullptr, n,
                                   products.data(), squares.data());
    const double mu2 = centre_.norm * centre_.norm;
    const double slack = (static_cast<double>(dim()) + 16) * 0x1p-50 * (1 + mu2);
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double length = std::sqrt(squares[i]);
        const auto scale = static_cast<float>(1.0 / length);
        const bool normal = scale >= FLT_MIN && scale <= FLT_MAX;
        scales_[first + i] = normal ? scale : 0.0F;
        if (!normal) square = kInfinity;
        square = std::max(square, 1.0 - 2.0 * products[i] / length + mu2 + slack);
    }
    stats.radius = std::sqrt(square) * kUp;
}

void Items::derive_differences(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                               BlockStats& stats) {
    std::vector<double> squares(n);
    table.sum_squared_differences(wide_centre(), scored_.rows.row(first), dim(), nullptr, n,
                                  squares.data());
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        square = std::max(square, squares[i]);
        if (metric() != Metric::kL2) continue;
        const double bias = scored_.bias ? scored_.bias[first + i] : 0.0;
        offsets_[first + i] = static_cast<float>((bias - squares[i]) / 2);
    }
    stats.radius = std::sqrt(square) * kUp;
}

}  // namespace vecrecall::scan
