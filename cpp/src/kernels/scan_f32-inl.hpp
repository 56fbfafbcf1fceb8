// The float32 scan: inner products fused with the threshold test.
#pragma once

#include "kernels/filter-inl.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

// One register block: kGroup items, whose panels begin at `panels`, against Q queries.
template <class S, int Q>
VR_INLINE void dot_block_f32(const float* panels, std::size_t dim, const float* queries,
                             typename S::F32 (&acc)[kVecs<S>][Q]) {
    using V = typename S::F32;
    constexpr std::size_t kPerPanel = kPanelItems / S::kLanes;
    const std::size_t panel_stride = dim * kPanelItems;
    for (std::size_t j = 0; j < dim; ++j) {
        V x[kVecs<S>];
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) {
            x[v] = load<V>(panels + (v / kPerPanel) * panel_stride + j * kPanelItems +
                           (v % kPerPanel) * S::kLanes);
        }
        VR_UNROLL
        for (int q = 0; q < Q; ++q) {
            const V b = S::set(queries[j * Q + q]);
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; ++v) acc[v][q] = S::multiply_add(b, x[v], acc[v][q]);
        }
    }
}

template <class S, int Q>
VR_INLINE void scan_group(const ScanPanelsF32& a, std::size_t group, std::size_t q0) {
    using V = typename S::F32;
    const std::size_t first = group * S::kGroup;
    V acc[kVecs<S>][Q];
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        const V start = load<V>(a.threshold_filter.offsets + first + v * S::kLanes);
        VR_UNROLL
        for (int q = 0; q < Q; ++q) acc[v][q] = start;
    }
    dot_block_f32<S, Q>(a.panels + first * a.dim, a.dim, a.queries + q0 * a.dim, acc);
    VR_UNROLL
    for (int q = 0; q < Q; ++q) filter<S, Q>(a.threshold_filter, &acc[0][q], first, q0 + q);
}

template <class S, int Q>
VR_INLINE void scan_remainder(const ScanPanelsF32& a, std::size_t group, std::size_t q0,
                              std::size_t queries) {
    if constexpr (Q > 0) {
        if (queries == Q) scan_group<S, Q>(a, group, q0);
        else scan_remainder<S, Q - 1>(a, group, q0, queries);
    }
}

// Groups outside, queries inside: a group's panels stay in the first-level cache.
template <class S>
void scan_panels_f32(const ScanPanelsF32& a) {
    const std::size_t n_groups = a.n_panels * kPanelItems / S::kGroup;
    const std::size_t whole = a.n_queries - a.n_queries % S::kQueries;
    for (std::size_t g = 0; g < n_groups; ++g) {
        for (std::size_t q0 = 0; q0 < whole; q0 += S::kQueries)
            scan_group<S, S::kQueries>(a, g, q0);
        scan_remainder<S, S::kQueries - 1>(a, g, whole, a.n_queries - whole);
    }
}

// kLanes rows against one query: a sum along each row, then across by a transposed tree.
template <class S, bool kScaled, class T>
VR_INLINE typename S::F32 dot_rows(const ScanRowsF32& a, const T* rows, std::size_t first,
                                   const float* query) {
    using V = typename S::F32;
    constexpr std::size_t kAhead = 16;  // rows; 4 KB at 64 dimensions
    const std::size_t last = a.n_rows - 1;
    V sums[S::kLanes];
    for (int r = 0; r < S::kLanes; ++r) {
        const std::size_t row = first + r < last ? first + r : last;  // past the end: a dead lane
        const T* x = rows + row * a.dim;
        prefetch_row(x + kAhead * a.dim, a.dim);
        const V scale = S::set(kScaled ? a.scales[row] : 1.0F);
        V sum = S::set(0.0F);
        std::size_t j = 0;
        for (; j + S::kLanes <= a.dim; j += S::kLanes) {
            V y = S::floats(x + j);
            if constexpr (kScaled) y = y * scale;
            sum = S::multiply_add(load<V>(query + j), y - load<V>(a.center + j), sum);
        }
        if (j < a.dim) {
            V y = S::load_some(x + j, static_cast<int>(a.dim - j));
            if constexpr (kScaled) y = y * scale;
            sum = S::multiply_add(load<V>(query + j), y - load<V>(a.center + j), sum);
        }
        sums[r] = sum;
    }
    S::transpose(sums);
    for (int half = S::kLanes / 2; half > 0; half /= 2) {
        for (int r = 0; r < half; ++r) sums[r] = sums[r] + sums[r + half];
    }
    return sums[0];
}

template <class S, bool kScaled, class T>
VR_INLINE void scan_rows(const ScanRowsF32& a, const T* rows) {
    using V = typename S::F32;
    const std::size_t stride = (a.dim + kPanelItems - 1) / kPanelItems * kPanelItems;
    for (std::size_t first = 0; first < a.n_rows; first += S::kGroup) {
        for (std::size_t q = 0; q < a.n_queries; ++q) {
            V values[kVecs<S>];
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; ++v) {
                const std::size_t at = first + v * S::kLanes;
                values[v] = load<V>(a.threshold_filter.offsets + at) +
                            dot_rows<S, kScaled>(a, rows, at, a.queries + q * stride);
            }
            filter<S, 1>(a.threshold_filter, values, first, q);
        }
    }
}

template <class S>
void scan_rows_f32(const ScanRowsF32& a) {
    by_type(a.rows, [&](const auto* rows) {
        if (a.scales) scan_rows<S, true>(a, rows);
        else scan_rows<S, false>(a, rows);
    });
}

}  // namespace
}  // namespace vecrecall::kernels
