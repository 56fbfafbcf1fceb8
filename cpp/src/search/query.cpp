#include "search/query.hpp"

#include <algorithm>
#include <cmath>

#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

bool all_zero(const float* row, std::size_t dim) {
    return std::all_of(row, row + dim, [](float x) { return x == 0.0F; });
}

}  // namespace

CenterTerms center_terms(const kernels::KernelTable& table, const Items& items, const Block& block,
                         const Query& query) {
    const Segment& segment = *block.segment;
    if (!segment.lists()) {
        return {.constant = query.constant, .norm = segment.center().norm, .shift = 0};
    }
    const Lists& lists = *segment.lists();
    const std::size_t list = lists.list_of_block(block.index);
    const float* point = lists.centers().row(list);  // the choice of lists has just read it
    double sum = 0;
    if (items.metric() == Metric::kL2) {
        table.sum_squared_differences(query.wide, point, items.dim(), nullptr, 1, &sum);
        return {.constant = 0.0 - sum, .norm = lists.norm(list), .shift = lists.shift(list)};
    }
    table.sum_products(query.wide, point, items.dim(), nullptr, 1, &sum);
    if (items.metric() == Metric::kCosine) sum /= query.length;
    return {.constant = sum, .norm = lists.norm(list), .shift = 0};
}

QueryBatch::QueryBatch(const kernels::KernelTable& table, const Items& items,
                       const MatrixView& queries, const RaggedView<std::int64_t>& exclude,
                       int threads)
    : dim_(queries.dim) {
    for (std::size_t i = 0; i < queries.rows; ++i) {
        const bool empty = items.metric() == Metric::kCosine && all_zero(queries.row(i), dim_);
        if (!empty) queries_.push_back(Query{.place = i});
    }
    wide_ = Buffer<double>(checked_product(size(), exact_width(dim_)));
    scan_vectors_ = Buffer<float>(checked_product(size(), dim_));
    constexpr std::size_t kPerTask = 16;
    parallel_for((size() + kPerTask - 1) / kPerTask, threads, [&](std::size_t task) {
        for (std::size_t i = task * kPerTask; i < std::min(size(), (task + 1) * kPerTask); ++i) {
            prepare(table, items, queries.row(queries_[i].place), i);
        }
    });
    if (exclude.values) find_excluded(items, exclude, threads);
}

void QueryBatch::find_excluded(const Items& items, const RaggedView<std::int64_t>& exclude,
                               int threads) {
    parallel_for(size(), threads, [&](std::size_t i) {
        Query& query = queries_[i];
        const std::int64_t* ids = exclude.begin(query.place);
        const auto n = static_cast<std::size_t>(exclude.end(query.place) - ids);
        items.for_rows_of(ids, n, [&](std::size_t row) {
            query.excluded.push_back(static_cast<std::uint32_t>(row));
        });
    });
}

QueryBatch QueryBatch::select(const std::vector<std::size_t>& which) const {
    QueryBatch selected(dim_);
    for (const std::size_t i : which) selected.queries_.push_back(queries_[i]);
    return selected;
}

void QueryBatch::prepare(const kernels::KernelTable& table, const Items& items, const float* row,
                         std::size_t i) {
    double* wide = wide_.data() + i * exact_width(dim_);
    widen_query(row, dim_, wide);
    Query& query = queries_[i];
    query.wide = wide;
    query.length = norm(table, wide, row, dim_);
    look_from(table, items, i);
}

QueryBatch QueryBatch::seen_from(const kernels::KernelTable& table, const Items& centers,
                                 std::size_t first, std::size_t n) const {
    QueryBatch seen(dim_);
    const std::size_t width = exact_width(dim_);
    const bool ip = centers.metric() == Metric::kIp;
    if (ip) seen.wide_ = Buffer<double>(checked_product(n, width));
    seen.scan_vectors_ = Buffer<float>(checked_product(n, dim_));
    for (std::size_t i = 0; i < n; ++i) {
        const Query& query = queries_[first + i];
        const double* wide = query.wide;
        if (ip && query.length > 0) {
            double* unit = seen.wide_.data() + i * width;
            // In float32 as all queries are: the bounds of the scan, and equal bits on all sets,
            // rest on that.
            std::transform(wide, wide + width, unit, [length = query.length](double x) {
                return static_cast<double>(static_cast<float>(x / length));
            });
            wide = unit;
        }
        const double length = ip && query.length > 0 ? 1.0 : query.length;
        seen.queries_.push_back(Query{.place = query.place, .wide = wide, .length = length});
        seen.look_from(table, centers, i);
    }
    return seen;
}

// From the center of the items, whose scan vectors and terms it sets.
void QueryBatch::look_from(const kernels::KernelTable& table, const Items& items, std::size_t i) {
    Query& query = queries_[i];
    const double* wide = query.wide;
    query.multiplier = 1;
    float* p = scan_vectors_.data() + i * dim_;
    query.scan_vector = p;
    double product = 0;  // q.mu
    table.sum_products(wide, items.center().narrow.data(), dim_, nullptr, 1, &product);
    double square = 0;
    switch (items.metric()) {
        case Metric::kIp:
            for (std::size_t j = 0; j < dim_; ++j) p[j] = static_cast<float>(wide[j]);
            query.constant = product;
            break;
        case Metric::kCosine:
            for (std::size_t j = 0; j < dim_; ++j)
                p[j] = static_cast<float>(wide[j] / query.length);
            query.constant = product / query.length;
            break;
        case Metric::kL2:
            for (std::size_t j = 0; j < dim_; ++j) {
                const double e = wide[j] - items.center().wide[j];
                p[j] = static_cast<float>(e);
                square += e * e;
            }
            query.constant = 0.0 - square;
            query.multiplier = 2;
            break;
    }
    double scan_square = 0;
    for (std::size_t j = 0; j < dim_; ++j) scan_square += static_cast<double>(p[j]) * p[j];
    query.scan_length = std::sqrt(scan_square) * (1.0 + 0x1p-30);
}

}  // namespace vecrecall::search
