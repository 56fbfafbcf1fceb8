#include "search/segment.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/registry.hpp"
#include "search/order.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Buffer<float> copy_rows(const Rows& rows, const std::vector<std::uint32_t>& order, int threads) {
    const std::size_t dim = rows.dim();
    Buffer<float> owned(checked_product(rows.size(), dim));
    parallel_for(blocks_for(rows.size()), threads, [&](std::size_t block) {
        const std::size_t first = block * kBlockItems;
        const std::size_t n = std::min(kBlockItems, rows.size() - first);
        float* to = owned.data() + first * dim;
        if (order.empty() && !rows.scattered) {
            std::memcpy(to, rows.row(first), n * dim * sizeof(float));
            return;
        }
        for (std::size_t i = 0; i < n; ++i) {
            std::copy_n(rows.row(order.empty() ? first + i : order[first + i]), dim, to + i * dim);
        }
    });
    return owned;
}

}  // namespace

Segment::Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
                 std::size_t block_items, const BuildOptions& options)
    : center_(std::move(center)),
      block_items_(block_items),
      owner_(options.copy ? nullptr : options.owner),
      borrows_(!options.copy),
      scored_{.rows = source.rows.together, .bias = nullptr, .metric = metric},
      stats_(blocks_for(source.rows.size(), block_items)) {
    if (size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("vectors: expected fewer than 2^31 rows");
    }
    const kernels::KernelTable& table = kernels::active();
    if (options.copy) take_rows(table, source.rows, options.threads);
    take_ids(source.ids);
    if (source.insertion_ranks)
        insertion_ranks_.assign(source.insertion_ranks, source.insertion_ranks + size());
    if (source.bias) {
        own_bias_.resize(size());
        for (std::size_t i = 0; i < size(); ++i) {
            own_bias_[i] = source.bias[ordered() ? order_[i] : i];
        }
        scored_.bias = own_bias_.data();
    }
    if (metric == Metric::kCosine) own_scales_ = Buffer<float>(size());
    if (metric == Metric::kL2) own_offsets_ = Buffer<float>(size());
    scales_ = own_scales_.data();
    offsets_ = own_offsets_.data();
    parallel_for(blocks(), options.threads, [&](std::size_t block) { derive_block(table, block); });
    if (options.codes && Codes::possible(dim())) codes_ = Codes(*this, options.threads);
}

Segment::Segment(const IndexArrays& parts, std::shared_ptr<const Center> center,
                 std::shared_ptr<const void> owner)
    : center_(std::move(center)),
      block_items_(kBlockItems),
      owner_(std::move(owner)),
      borrows_(true),
      order_(parts.order.data),
      scored_{.rows = parts.rows, .bias = parts.bias.data, .metric = parts.metric},
      ids_(std::make_unique<IdMap>(parts.ids.data, parts.rows.rows, false)),
      stats_(blocks_for(parts.rows.rows)) {
    if (metric() == Metric::kCosine) scales_ = parts.row_terms.data;
    if (metric() == Metric::kL2) offsets_ = parts.row_terms.data;
    for (std::size_t b = 0; b < blocks(); ++b) {
        const double* bounds = parts.block_bounds.data + b * kBlockBounds;
        stats_[b] = {.radius = bounds[0], .max_offset = bounds[1], .top_offset = bounds[2]};
    }
    if (parts.code_bounds.size == 0) return;
    std::vector<CodeStats> codes(blocks());
    for (std::size_t b = 0; b < blocks(); ++b) {
        const double* bounds = parts.code_bounds.data + b * kCodeBounds;
        codes[b] = {.step = bounds[0],
                    .inverse_step = bounds[1],
                    .code_length = bounds[2],
                    .error_length = bounds[3]};
    }
    codes_ = Codes(dim(), parts.codes.data, std::move(codes));
}

void Segment::take_rows(const kernels::KernelTable& table, const Rows& rows, int threads) {
    const bool enough = rows.size() > (kFewestOrderedBlocks - 1) * block_items_;
    if (enough && metric() != Metric::kCosine) {  // there all lengths are one
        const bool longest_first = metric() == Metric::kIp;
        own_order_ = order_by_length(table, rows, center_->wide.data(), longest_first, threads);
        if (!own_order_.empty()) order_ = own_order_.data();
    }
    own_rows_ = copy_rows(rows, own_order_, threads);
    scored_.rows.data = own_rows_.data();
}

void Segment::take_ids(const std::int64_t* ids) {
    if (!ordered()) {
        ids_ = std::make_unique<IdMap>(ids, size());
        return;
    }
    std::vector<std::int64_t> ordered(size());
    for (std::size_t i = 0; i < size(); ++i) {
        ordered[i] = ids ? ids[order_[i]] : static_cast<std::int64_t>(order_[i]);
    }
    ids_ = std::make_unique<IdMap>(ordered.data(), size());
}

std::size_t Segment::bytes() const {
    const std::size_t codes = codes_.empty() ? 0 : Codes::bytes(size(), dim());
    const std::size_t per_row = dim() * sizeof(float) + (scored_.bias ? sizeof(double) : 0) +
                                (order_ ? sizeof(std::uint32_t) : 0) +
                                (scales_ ? sizeof(float) : 0) + (offsets_ ? sizeof(float) : 0);
    const std::size_t per_block = sizeof(BlockStats) + (codes_.empty() ? 0 : sizeof(CodeStats));
    return codes + size() * per_row + blocks() * per_block + ids_->bytes() +
           insertion_ranks_.size() * sizeof(std::uint32_t);
}

std::size_t Segment::insertion_rank(std::size_t row) const {
    const std::size_t given = ordered() ? order_[row] : row;
    return insertion_ranks_.empty() ? given : insertion_ranks_[given];
}

std::vector<double> Segment::inverse_lengths(const kernels::KernelTable& table, std::size_t first,
                                             std::size_t n) const {
    std::vector<double> products(n);
    std::vector<double> inverse(n);
    table.sum_products_and_squares(center_->wide.data(), scored_.rows.row(first), dim(), nullptr, n,
                                   products.data(), inverse.data());
    for (double& x : inverse) x = x > 0 ? 1.0 / std::sqrt(x) : 0.0;
    return inverse;
}

void Segment::derive_block(const kernels::KernelTable& table, std::size_t block) {
    const std::size_t first = block * block_items_;
    const std::size_t n = block_size(block);
    BlockStats& stats = stats_[block];
    stats = {.radius = 0, .max_offset = 0, .top_offset = has_offsets() ? -kInfinity : 0};
    if (metric() == Metric::kCosine) derive_cosine(table, first, n, stats);
    else derive_differences(table, first, n, stats);
    if (has_offsets()) derive_offsets(first, n, stats);
}

void Segment::derive_offsets(std::size_t first, std::size_t n, BlockStats& stats) const {
    std::vector<float> offsets(n);
    copy_offsets(first, n, offsets.data());
    for (const double offset : offsets) {
        stats.max_offset = std::max(stats.max_offset, std::fabs(offset));
        stats.top_offset = std::max(stats.top_offset, offset);
    }
    stats.max_offset *= kUp;
}

void Segment::copy_offsets(std::size_t first, std::size_t n, float* to) const {
    if (metric() == Metric::kL2) {
        std::copy_n(offsets_ + first, n, to);
        return;
    }
    if (!scored_.bias) {  // other segments have one
        std::fill_n(to, n, 0.0F);
        return;
    }
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(scored_.bias[first + i]);
}

// |x/|x| - mu|^2 = 1 - 2 x.mu/|x| + |mu|^2, whose float64 error the added term covers.
void Segment::derive_cosine(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                            BlockStats& stats) {
    std::vector<double> products(n);
    std::vector<double> squares(n);
    table.sum_products_and_squares(center_->wide.data(), scored_.rows.row(first), dim(), nullptr, n,
                                   products.data(), squares.data());
    const double mu2 = center_->norm * center_->norm;
    const double slack = (static_cast<double>(dim()) + 16) * 0x1p-50 * (1 + mu2);
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double length = std::sqrt(squares[i]);
        const auto scale = static_cast<float>(1.0 / length);
        const bool normal = scale >= FLT_MIN && scale <= FLT_MAX;
        own_scales_[first + i] = normal ? scale : 0.0F;
        if (!normal) square = kInfinity;
        square = std::max(square, 1.0 - 2.0 * products[i] / length + mu2 + slack);
    }
    stats.radius = std::sqrt(square) * kUp;
}

void Segment::derive_differences(const kernels::KernelTable& table, std::size_t first,
                                 std::size_t n, BlockStats& stats) {
    std::vector<double> squares(n);
    table.sum_squared_differences(center_->wide.data(), scored_.rows.row(first), dim(), nullptr, n,
                                  squares.data());
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        square = std::max(square, squares[i]);
        if (metric() != Metric::kL2) continue;
        const double bias = scored_.bias ? scored_.bias[first + i] : 0.0;
        own_offsets_[first + i] = static_cast<float>((bias - squares[i]) / 2);
    }
    stats.radius = std::sqrt(square) * kUp;
}

}  // namespace vecrecall::search
