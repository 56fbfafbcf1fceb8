// Exact float64 sums over rows: the score bits of every metric.
#pragma once

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

// A product of two floats is exact in float64, so fused or not gives the same bits.
struct Products {
    VR_INLINE f64x8 accumulate(f64x8 acc, f64x8 q, f64x8 x) { return acc + q * x; }
};

struct SquaredDifferences {
    VR_INLINE f64x8 accumulate(f64x8 acc, f64x8 q, f64x8 x) {
        const f64x8 e = q - x;
        return acc + e * e;
    }
};

template <class T>
VR_INLINE const T* row_at(const T* rows, std::size_t dim, const std::uint32_t* index,
                          std::size_t i) {
    return rows + (index ? std::size_t{index[i]} : i) * dim;
}

// R rows side by side hide the latency of the add chain; squares is null or takes sum of x*x.
template <class S, class Op, int R, bool kSquares, class T>
VR_INLINE void sum_rows(const double* query, const T* const* row, std::size_t dim, double* sums,
                        double* squares) {
    f64x8 acc[R] = {};
    f64x8 sq[R] = {};
    std::size_t j = 0;
    for (; j + 8 <= dim; j += 8) {
        const f64x8 q = doubles_at(query + j);
        for (int r = 0; r < R; ++r) {
            const f64x8 x = widen8<S>(row[r] + j);
            acc[r] = Op::accumulate(acc[r], q, x);
            if constexpr (kSquares) sq[r] = Products::accumulate(sq[r], x, x);
        }
    }
    if (j < dim) {  // the padding's terms are +0 and change nothing
        const f64x8 q = doubles_at(query + j);
        for (int r = 0; r < R; ++r) {
            const f64x8 x = widen_tail<S>(row[r] + j, dim - j);
            acc[r] = Op::accumulate(acc[r], q, x);
            if constexpr (kSquares) sq[r] = Products::accumulate(sq[r], x, x);
        }
    }
    for (int r = 0; r < R; ++r) {
        sums[r] = reduce8(acc[r]);
        if constexpr (kSquares) squares[r] = reduce8(sq[r]);
    }
}

template <class S, class Op, bool kSquares, class T>
void exact_sums_of(const double* query, const T* rows, std::size_t dim, const std::uint32_t* index,
                   std::size_t n, double* sums, double* squares) {
    constexpr std::size_t kAhead = 8;  // rows; covers a memory access at 10 to 20 ns per row
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const T* row[4];
        for (int r = 0; r < 4; ++r) {
            row[r] = row_at(rows, dim, index, i + r);
            if (i + r + kAhead < n) prefetch_row(row_at(rows, dim, index, i + r + kAhead), dim);
        }
        sum_rows<S, Op, 4, kSquares>(query, row, dim, sums + i, kSquares ? squares + i : nullptr);
    }
    for (; i < n; ++i) {
        const T* row = row_at(rows, dim, index, i);
        sum_rows<S, Op, 1, kSquares>(query, &row, dim, sums + i, kSquares ? squares + i : nullptr);
    }
}

template <class S, class Op, bool kSquares>
VR_INLINE void exact_sums(const double* query, RowPointer rows, std::size_t dim,
                          const std::uint32_t* index, std::size_t n, double* sums,
                          double* squares) {
    by_type(rows, [&](const auto* typed) {
        exact_sums_of<S, Op, kSquares>(query, typed, dim, index, n, sums, squares);
    });
}

template <class S>
void sum_products(const double* query, RowPointer rows, std::size_t dim, const std::uint32_t* index,
                  std::size_t n, double* sums) {
    exact_sums<S, Products, false>(query, rows, dim, index, n, sums, nullptr);
}

template <class S>
void sum_squared_differences(const double* query, RowPointer rows, std::size_t dim,
                             const std::uint32_t* index, std::size_t n, double* sums) {
    exact_sums<S, SquaredDifferences, false>(query, rows, dim, index, n, sums, nullptr);
}

template <class S>
void sum_products_and_squares(const double* query, RowPointer rows, std::size_t dim,
                              const std::uint32_t* index, std::size_t n, double* sums,
                              double* squares) {
    exact_sums<S, Products, true>(query, rows, dim, index, n, sums, squares);
}

}  // namespace
}  // namespace vecrecall::kernels
