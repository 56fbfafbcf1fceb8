#include "search/segment.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
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
                 std::shared_ptr<const Lists> lists, const BlockLayout& layout,
                 const BuildOptions& options)
    : center_(std::move(center)),
      lists_(std::move(lists)),
      layout_(layout),
      owner_(options.copy ? nullptr : options.owner),
      borrows_(!options.copy),
      scored_{.rows = source.rows.together, .bias = nullptr, .metric = metric},
      stats_(layout.blocks()) {
    if (size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("vectors: expected fewer than 2^31 rows");
    }
}

Segment::Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
                 std::size_t block_items, const BuildOptions& options)
    : Segment(source, metric, std::move(center), nullptr,
              BlockLayout(source.rows.size(), block_items), options) {
    const bool enough = size() > (kFewestOrderedBlocks - 1) * block_items;
    if (options.copy && enough && metric != Metric::kCosine) {  // there all lengths are one
        own_order_ = order_by_length(kernels::active(), source.rows, center_->wide.data(),
                                     metric == Metric::kIp, options.threads);
    }
    fill(source, options);
}

Segment::Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
                 const std::shared_ptr<const Lists>& lists, std::vector<std::uint32_t> order,
                 const BuildOptions& options)
    : Segment(source, metric, std::move(center), lists, BlockLayout(lists->sizes()), options) {
    own_order_ = std::move(order);
    fill(source, options);
}

void Segment::fill(const Source& source, const BuildOptions& options) {
    const kernels::KernelTable& table = kernels::active();
    if (!own_order_.empty()) order_ = own_order_.data();
    if (options.copy) take_rows(source.rows, options.threads);
    take_ids(source.ids);
    if (source.insertion_ranks)
        insertion_ranks_.assign(source.insertion_ranks, source.insertion_ranks + size());
    if (source.bias) {
        own_bias_.resize(size());
        for (std::size_t i = 0; i < size(); ++i) {
            own_bias_[i] = source.bias[order_ ? order_[i] : i];
        }
        scored_.bias = own_bias_.data();
    }
    if (metric() == Metric::kCosine) own_scales_ = Buffer<float>(size());
    if (metric() == Metric::kL2) own_offsets_ = Buffer<float>(size());
    scales_ = own_scales_.data();
    offsets_ = own_offsets_.data();
    if (options.codes && !center_->direction.empty()) own_along_ = Buffer<float>(size());
    along_ = own_along_.data();
    parallel_for(blocks(), options.threads, [&](std::size_t block) { derive_block(table, block); });
    find_top_biases();
    if (options.codes && Codes::possible(dim())) codes_ = Codes(*this, options.threads);
}

Segment::Segment(const IndexArrays& parts, std::shared_ptr<const Center> center,
                 std::shared_ptr<const Lists> lists, std::shared_ptr<const void> owner)
    : center_(std::move(center)),
      lists_(std::move(lists)),
      layout_(lists_ ? BlockLayout(lists_->sizes()) : BlockLayout(parts.rows.rows, kBlockItems)),
      owner_(std::move(owner)),
      borrows_(true),
      order_(parts.order.data),
      scored_{.rows = parts.rows, .bias = parts.bias.data, .metric = parts.metric},
      ids_(std::make_unique<IdMap>(parts.ids.data, parts.rows.rows, false)),
      stats_(layout_.blocks()) {
    if (metric() == Metric::kCosine) scales_ = parts.row_terms.data;
    if (metric() == Metric::kL2) offsets_ = parts.row_terms.data;
    along_ = parts.along.data;
    for (std::size_t b = 0; b < blocks(); ++b) {
        const double* bounds = parts.block_bounds.data + b * kBlockBounds;
        stats_[b] = {.radius = bounds[0], .max_offset = bounds[1], .top_offset = bounds[2]};
    }
    find_top_biases();
    if (parts.code_bounds.size == 0) return;
    std::vector<CodeStats> codes(blocks());
    for (std::size_t b = 0; b < blocks(); ++b) {
        const double* bounds = parts.code_bounds.data + b * kCodeBounds;
        codes[b] = {.step = bounds[0],
                    .inverse_step = bounds[1],
                    .code_length = bounds[2],
                    .error_length = bounds[3]};
    }
    codes_ = Codes(*this, parts.codes.data, std::move(codes));
}

void Segment::find_top_biases() {
    if (!lists_ || metric() != Metric::kL2) return;
    top_biases_.assign(blocks(), 0.0);
    if (scored_.bias == nullptr) return;
    for (std::size_t block = 0; block < blocks(); ++block) {
        canceling::check_each(block);
        const double* first = scored_.bias + layout_.first(block);
        top_biases_[block] = *std::max_element(first, first + layout_.size(block));
    }
}

void Segment::take_rows(const Rows& rows, int threads) {
    own_rows_ = copy_rows(rows, own_order_, threads);
    scored_.rows.data = own_rows_.data();
}

void Segment::take_ids(const std::int64_t* ids) {
    if (order_ == nullptr) {
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
    const std::size_t codes = codes_.empty() ? 0 : Codes::bytes(layout_.slots(), dim());
    const std::size_t per_row = dim() * sizeof(float) + (scored_.bias ? sizeof(double) : 0) +
                                (order_ ? sizeof(std::uint32_t) : 0) +
                                (scales_ ? sizeof(float) : 0) + (offsets_ ? sizeof(float) : 0) +
                                (along_ ? sizeof(float) : 0);
    const std::size_t per_block = sizeof(BlockStats) + (codes_.empty() ? 0 : sizeof(CodeStats));
    return codes + size() * per_row + blocks() * per_block + ids_->bytes() +
           insertion_ranks_.size() * sizeof(std::uint32_t) + top_biases_.size() * sizeof(double) +
           (lists_ ? lists_->bytes() : 0);
}

std::size_t Segment::insertion_rank(std::size_t row) const {
    const std::size_t given = order_ ? order_[row] : row;
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
    BlockStats& stats = stats_[block];
    stats = {.radius = 0, .max_offset = 0, .top_offset = has_offsets() ? -kInfinity : 0};
    const std::size_t first = layout_.first(block);
    const std::size_t n = layout_.size(block);
    if (metric() == Metric::kCosine) derive_cosine(table, block, stats);
    else derive_differences(table, block, stats);
    if (has_offsets()) derive_offsets(first, n, stats);
    if (along_) derive_along(table, first, n);
}

// u.r = u.x - u.mu, or u.x / |x| - u.mu under cosine; u is the direction.
void Segment::derive_along(const kernels::KernelTable& table, std::size_t first, std::size_t n) {
    const double* direction = center_->direction.data();
    std::vector<double> products(n);
    table.sum_products(direction, scored_.rows.row(first), dim(), nullptr, n, products.data());
    double of_center = 0;
    table.sum_products(direction, center_->narrow.data(), dim(), nullptr, 1, &of_center);
    std::vector<double> scales(n, 1.0);
    if (metric() == Metric::kCosine) scales = inverse_lengths(table, first, n);
    for (std::size_t i = 0; i < n; ++i) {
        own_along_[first + i] = static_cast<float>(products[i] * scales[i] - of_center);
    }
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
void Segment::derive_cosine(const kernels::KernelTable& table, std::size_t block,
                            BlockStats& stats) {
    const std::size_t first = layout_.first(block);
    const std::size_t n = layout_.size(block);
    const Center& mu = center(block);
    std::vector<double> products(n);
    std::vector<double> squares(n);
    table.sum_products_and_squares(mu.wide.data(), scored_.rows.row(first), dim(), nullptr, n,
                                   products.data(), squares.data());
    const double mu2 = mu.norm * mu.norm;
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

void Segment::derive_differences(const kernels::KernelTable& table, std::size_t block,
                                 BlockStats& stats) {
    const std::size_t first = layout_.first(block);
    const std::size_t n = layout_.size(block);
    std::vector<double> squares(n);
    table.sum_squared_differences(center(block).wide.data(), scored_.rows.row(first), dim(),
                                  nullptr, n, squares.data());
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        square = std::max(square, squares[i]);
        if (metric() == Metric::kL2)
            own_offsets_[first + i] = static_cast<float>(offset_of(first + i, squares[i], block));
    }
    stats.radius = std::sqrt(square) * kUp;
}

// Under l2, from |r|^2. In a list, whose center is mu + c, queries are seen from mu all the same,
// and c.r is part of the offset: -|q - x|^2 = -|q - mu - c|^2 + 2 (q - mu).r - (|r|^2 + 2 c.r).
double Segment::offset_of(std::size_t row, double square, std::size_t block) const {
    double sum = square;
    if (lists_) {
        const float* x = scored_.rows.row(row);
        const double* list_center = center(block).wide.data();
        const double* middle = center_->wide.data();
        double product = 0;
        for (std::size_t j = 0; j < dim(); ++j) {
            product += (list_center[j] - middle[j]) * (x[j] - list_center[j]);
        }
        sum += 2 * product;
    }
    return ((scored_.bias ? scored_.bias[row] : 0.0) - sum) / 2;
}

}  // namespace vecrecall::search
