// Exact float64 sums of pairs of rows, in the order of the score bits.
#pragma once

#include "kernels/exact-inl.hpp"

namespace vecrecall::kernels {
namespace {

template <class S, class Op, int R, class T>
VR_INLINE void sum_some_pairs(const SumPairs& a, const T* points, std::size_t i) {
    const T* x[R];
    const float* y[R];
    for (int r = 0; r < R; ++r) {
        x[r] = points + std::size_t{a.pairs[i + r].point} * a.dim;
        y[r] = a.centroids + std::size_t{a.pairs[i + r].centroid} * a.dim;
    }
    f64x8 acc[R] = {};
    std::size_t j = 0;
    for (; j + 8 <= a.dim; j += 8) {
        for (int r = 0; r < R; ++r) {
            acc[r] = Op::accumulate(acc[r], widen8<S>(x[r] + j), widen8<S>(y[r] + j));
        }
    }
    if (j < a.dim) {
        for (int r = 0; r < R; ++r) {
            acc[r] = Op::accumulate(acc[r], widen_tail<S>(x[r] + j, a.dim - j),
                                    widen_tail<S>(y[r] + j, a.dim - j));
        }
    }
    for (int r = 0; r < R; ++r) a.sums[i + r] = reduce8(acc[r]);
}

template <class S, class Op, class T>
void sum_pairs_of(const SumPairs& a, const T* points) {
    std::size_t i = 0;
    for (; i + 4 <= a.n; i += 4) sum_some_pairs<S, Op, 4>(a, points, i);
    for (; i < a.n; ++i) sum_some_pairs<S, Op, 1>(a, points, i);
}

template <class S, class Op>
VR_INLINE void sum_pairs(const SumPairs& a) {
    by_type(a.points, [&](const auto* points) { sum_pairs_of<S, Op>(a, points); });
}

template <class S>
void pair_products(const SumPairs& a) {
    sum_pairs<S, Products>(a);
}

template <class S>
void pair_squared_differences(const SumPairs& a) {
    sum_pairs<S, SquaredDifferences>(a);
}

}  // namespace
}  // namespace vecrecall::kernels
