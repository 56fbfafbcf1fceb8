// Rows to panels: 16 items side by side, centered and scaled, so that the scan's lanes are items.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

// Every instruction set computes the same floats: one product, one subtraction, each rounded.
VR_INLINE float centered(float x, float scale, float center) { return x * scale - center; }

VR_INLINE void pack_columns(const PackF32& a, std::size_t first_row, std::size_t from,
                            std::size_t to, float* panel) {
    const std::size_t rows =
        a.n_rows <= first_row
            ? 0
            : (a.n_rows - first_row < kPanelItems ? a.n_rows - first_row : kPanelItems);
    for (std::size_t j = from; j < to; ++j) {
        for (std::size_t i = 0; i < rows; ++i) {
            const float scale = a.scales ? a.scales[first_row + i] : 1.0F;
            panel[j * kPanelItems + i] =
                centered(a.rows[(first_row + i) * a.dim + j], scale, a.center[j]);
        }
        for (std::size_t i = rows; i < kPanelItems; ++i) panel[j * kPanelItems + i] = 0.0F;
    }
}

// A square of kLanes rows by kLanes columns, transposed in registers.
template <class S>
VR_INLINE void pack_square(const PackF32& a, std::size_t first_row, std::size_t lane,
                           std::size_t column, float* panel) {
    using V = typename S::F32;
    V square[S::kLanes];
    for (int r = 0; r < S::kLanes; ++r) {
        const float* at = a.rows + (first_row + lane + r) * a.dim + column;
        // 2 KB ahead in the row-major stream: one block of rows further on.
        __builtin_prefetch(at + kPanelItems * a.dim);
        square[r] = load<V>(at);
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

template <class S>
void pack_f32(const PackF32& a) {
    for (std::size_t p = 0; p < a.n_panels; ++p) {
        const std::size_t first_row = p * kPanelItems;
        float* panel = a.panels + p * a.dim * kPanelItems;
        std::size_t column = 0;
        if (first_row + kPanelItems <= a.n_rows) {
            for (; column + S::kLanes <= a.dim; column += S::kLanes) {
                for (std::size_t lane = 0; lane < kPanelItems; lane += S::kLanes) {
                    pack_square<S>(a, first_row, lane, column, panel);
                }
            }
        }
        pack_columns(a, first_row, column, a.dim, panel);
    }
}

}  // namespace
}  // namespace vecrecall::kernels
