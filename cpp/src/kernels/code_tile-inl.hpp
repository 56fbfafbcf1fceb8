// A tile of points to int8 codes, each with a step of its own.
#pragma once

#include "kernels/quantise_i8-inl.hpp"

namespace vecrecall::kernels {
namespace {

template <class S>
VR_INLINE void code_row(const CodeTile& a, std::size_t row) {
    const QuantiseI8 rows{
        .rows = a.rows, .dim = a.dim, .scales = nullptr, .centre = a.centre, .codes = a.codes};
    f64x8 largest = {};
    f64x8 length = {};
    for (std::size_t j = 0; j < a.dim; j += 8) {
        const f64x8 r = residual8<S>(rows, row, j, a.dim - j < 8 ? a.dim - j : 8);
        const f64x8 size = r < 0 ? -r : r;
        largest = size > largest ? size : largest;
        length += r * r;
    }
    double most = 0;
    for (int l = 0; l < 8; ++l) most = largest[l] > most ? largest[l] : most;
    a.steps[row] = most > 0 ? most / 127.0 : 1.0;
    a.lengths[row] = reduce8(length);

    const f64x8 per_step = fill8(1.0 / a.steps[row]);
    const f64x8 step = fill8(a.steps[row]);
    f64x8 miss = {};
    for (std::size_t j = 0; j < a.dim; j += 8) {
        const f64x8 r = residual8<S>(rows, row, j, a.dim - j < 8 ? a.dim - j : 8);
        const f64x8 c = (r * per_step + kRoundInteger) - kRoundInteger;
        const f64x8 e = r - step * c;
        miss += e * e;
        store_codes(rows, row, j, c + 128.0);
    }
    a.misses[row] = reduce8(miss);
}

template <class S>
void code_tile(const CodeTile& a) {
    for (std::size_t i = 0; i < a.n_rows; ++i) code_row<S>(a, i);
    const std::size_t bytes = (a.dim + 3) / 4 * 4;
    for (std::size_t i = a.n_rows; i < kWordItems; ++i) {
        std::uint8_t* at = a.codes + i / kPanelItems * bytes * kPanelItems + i % kPanelItems * 4;
        for (std::size_t j = 0; j < bytes; ++j) at[j / 4 * kPanelItems * 4 + j % 4] = 128;
    }
}

}  // namespace
}  // namespace vecrecall::kernels
