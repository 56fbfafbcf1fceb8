// From exact float64 sums to score bits: the one place where a metric is defined.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/table.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall {

// A query as the exact kernels take it: float64, zero-padded to a multiple of 8 (`storage` is the
// caller's, exact_width(dim) doubles).
inline std::size_t exact_width(std::size_t dim) { return (dim + 7) / 8 * 8; }
void widen_query(const float* query, std::size_t dim, double* storage);

// sqrt of the sum of squares, in the lane order of the scores.
double norm(const kernels::KernelTable& table, const double* wide, const float* narrow,
            std::size_t dim);

// A norm times this is an upper bound: the float64 rounding of sums of up to 2^20 terms stays far
// below one part in 2^30.
inline constexpr double kUp = 1.0 + 0x1p-30;

// The one rounding to float32; -0 becomes +0, overflow an infinity. NaN, which only a
// damaged file can bring, is the lowest score: sorting needs an order.
inline float round_score(double score) {
    const float rounded = static_cast<float>(score) + 0.0F;
    return rounded == rounded ? rounded : -std::numeric_limits<float>::infinity();
}

// A score before that rounding, from the sum of products or of squared differences. The lengths
// are those of both rows, for cosine alone; of none if one is zero.
double score_of(Metric metric, double sum, double query_length, double row_length);

struct ScoredItems {
    MatrixView rows;
    const double* bias;  // or null
    Metric metric;
};

// Scores of the n rows that `index` names, before the bias and the rounding. `query_norm` is used
// by cosine alone. A zero row under cosine scores -inf.
void exact_scores(const kernels::KernelTable& table, const ScoredItems& items, const double* query,
                  double query_norm, const std::uint32_t* index, std::size_t n, double* scores);

// Final float32 scores of the n rows that `index` names. `query_norm` is used by cosine alone. A
// zero row under cosine scores -inf.
void score_rows(const kernels::KernelTable& table, const ScoredItems& items, const double* query,
                double query_norm, const std::uint32_t* index, std::size_t n, float* scores);

}  // namespace vecrecall
