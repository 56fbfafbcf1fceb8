// Rows to panels: 16 items side by side, centered and scaled, so that the scan's lanes are items.
#pragma once

#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

// Every instruction set computes the same floats: one product, one subtraction, each rounded.
VR_INLINE float centered(float x, float scale, float center) { return x * scale - center; }

template <class T>
VR_INLINE void pack_columns(const PackF32& a, const T* all, std::size_t first_row, std::size_t from,
                            float* panel) {
    const std::size_t rows =
        a.n_rows <= first_row
            ? 0
            : (a.n_rows - first_row < kPanelItems ? a.n_rows - first_row : kPanelItems);
    for (std::size_t j = from; j < a.dim; ++j) {
        for (std::size_t i = 0; i < rows; ++i) {
            const float scale = a.scales ? a.scales[first_row + i] : 1.0F;
            panel[j * kPanelItems + i] =
                centered(widened(all[(first_row + i) * a.dim + j]), scale, a.center[j]);
        }
        for (std::size_t i = rows; i < kPanelItems; ++i) panel[j * kPanelItems + i] = 0.0F;
    }
}

// A square of kLanes rows by kLanes columns, transposed in registers.
template <class S, class T>
VR_INLINE void pack_square(const PackF32& a, const T* all, std::size_t first_row, std::size_t lane,
                           std::size_t column, float* panel) {
    using V = typename S::F32;
    V square[S::kLanes];
    for (int r = 0; r < S::kLanes; ++r) {
        const T* at = all + (first_row + lane + r) * a.dim + column;
        // One block of rows further on in the row-major stream.
        __builtin_prefetch(at + kPanelItems * a.dim);
        square[r] = S::floats(at);
    }
    S::transpose(square);
    if (a.scales) {
        const V scale = load<V>(a.scales + first_row + lane);
        for (int c = 0; c < S::kLanes; ++c) square[c] = square[c] * scale;
    }
    for (int c = 0; c < S::kLanes; ++c) {
        store(panel + (column + c) * kPanelItems + lane, square[c] - S::set(a.center[column + c]));
    }
}

template <class S, class T>
void pack_rows(const PackF32& a, const T* all) {
    for (std::size_t p = 0; p < a.n_panels; ++p) {
        const std::size_t first_row = p * kPanelItems;
        float* panel = a.panels + p * a.dim * kPanelItems;
        std::size_t column = 0;
        if (first_row + kPanelItems <= a.n_rows) {
            for (; column + S::kLanes <= a.dim; column += S::kLanes) {
                for (std::size_t lane = 0; lane < kPanelItems; lane += S::kLanes) {
                    pack_square<S>(a, all, first_row, lane, column, panel);
                }
            }
        }
        pack_columns(a, all, first_row, column, panel);
    }
}

template <class S>
void pack_f32(const PackF32& a) {
    by_type(a.rows, [&](const auto* all) { pack_rows<S>(a, all); });
}

}  // namespace
}  // namespace vecrecall::kernels
