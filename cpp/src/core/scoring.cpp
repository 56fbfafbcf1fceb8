#include "core/scoring.hpp"

#include <algorithm>
#include <limits>

#include "platform/canceling.hpp"

namespace vecrecall {
namespace {

constexpr std::size_t kChunk = 256;

// Of at most kChunk rows.
void score_chunk(const kernels::KernelTable& table, const ScoredItems& items, const double* query,
                 double query_norm, const std::uint32_t* index, std::size_t n, double* scores) {
    const std::size_t dim = items.rows.dim;
    const float* rows = items.rows.data;
    double squares[kChunk];  // cosine alone
    switch (items.metric) {
        case Metric::kIp: table.sum_products(query, rows, dim, index, n, scores); break;
        case Metric::kL2: table.sum_squared_differences(query, rows, dim, index, n, scores); break;
        case Metric::kCosine:
            table.sum_products_and_squares(query, rows, dim, index, n, scores, squares);
            break;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const double length = items.metric == Metric::kCosine ? std::sqrt(squares[i]) : 0.0;
        scores[i] = score_of(items.metric, scores[i], query_norm, length);
    }
}

}  // namespace

double score_of(Metric metric, double sum, double query_length, double row_length) {
    switch (metric) {
        case Metric::kIp: return sum;
        case Metric::kL2: return 0.0 - sum;
        case Metric::kCosine: break;
    }
    if (row_length == 0) return -std::numeric_limits<double>::infinity();
    return sum / (query_length * row_length);
}

void widen_query(const float* query, std::size_t dim, double* storage) {
    std::copy(query, query + dim, storage);
    std::fill(storage + dim, storage + exact_width(dim), 0.0);
}

double norm(const kernels::KernelTable& table, const double* wide, const float* narrow,
            std::size_t dim) {
    double square = 0;
    table.sum_products(wide, narrow, dim, nullptr, 1, &square);
    return std::sqrt(square);
}

void exact_scores(const kernels::KernelTable& table, const ScoredItems& items, const double* query,
                  double query_norm, const std::uint32_t* index, std::size_t n, double* scores) {
    for (std::size_t from = 0; from < n; from += kChunk) {
        canceling::check_each(from);
        score_chunk(table, items, query, query_norm, index + from, std::min(kChunk, n - from),
                    scores + from);
    }
}

void score_rows(const kernels::KernelTable& table, const ScoredItems& items, const double* query,
                double query_norm, const std::uint32_t* index, std::size_t n, float* scores) {
    double exact[kChunk];
    for (std::size_t from = 0; from < n; from += kChunk) {
        canceling::check_each(from);
        const std::size_t count = std::min(kChunk, n - from);
        score_chunk(table, items, query, query_norm, index + from, count, exact);
        for (std::size_t i = 0; i < count; ++i) {
            if (items.bias) exact[i] += items.bias[index[from + i]];
            scores[from + i] = round_score(exact[i]);
        }
    }
}

}  // namespace vecrecall
