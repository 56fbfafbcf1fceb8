// Sums of table rows with the accumulators kept in registers, 8 * kVectors dimensions at a time.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

VR_INLINE void fetch_ahead(const PoolSum& a, std::size_t i) {
    if (i >= a.n_ahead || a.ahead[i] < 0) return;
    prefetch_row(a.table + static_cast<std::size_t>(a.ahead[i]) * a.dim, a.dim);
}

template <class S, int kVectors, bool kWeighted>
VR_INLINE void pool_strip(const PoolSum& a, std::size_t from) {
    f64x8 acc[kVectors] = {};
    for (std::size_t i = 0; i < a.n_rows; ++i) {
        if (from == 0) fetch_ahead(a, i);
        const float* row = a.table + static_cast<std::size_t>(a.rows[i]) * a.dim + from;
        for (int v = 0; v < kVectors; ++v) {
            const f64x8 x = S::widen8(row + 8 * v);
            if constexpr (kWeighted) acc[v] += a.weights[i] * x;
            else acc[v] += x;
        }
    }
    for (int v = 0; v < kVectors; ++v) store(a.sums + from + 8 * v, acc[v]);
}

template <class S, bool kWeighted>
VR_INLINE void pool_bag(const PoolSum& a) {
    std::size_t from = 0;
    for (; from + 8 * S::kPoolVectors <= a.dim; from += 8 * S::kPoolVectors) {
        pool_strip<S, S::kPoolVectors, kWeighted>(a, from);
    }
    for (; from + 8 <= a.dim; from += 8) pool_strip<S, 1, kWeighted>(a, from);
    for (; from < a.dim; ++from) {
        double sum = 0;
        for (std::size_t i = 0; i < a.n_rows; ++i) {
            const double x = a.table[static_cast<std::size_t>(a.rows[i]) * a.dim + from];
            sum += kWeighted ? a.weights[i] * x : x;
        }
        a.sums[from] = sum;
    }
}

template <class S>
void pool_sum(const PoolSum& a) {
    if (a.weights) pool_bag<S, true>(a);
    else pool_bag<S, false>(a);
}

}  // namespace
}  // namespace vecrecall::kernels
