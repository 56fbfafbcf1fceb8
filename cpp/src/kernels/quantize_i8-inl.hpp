// Rows to int8 codes, with the exact size of what the codes miss.
#pragma once

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

// Adding and subtracting 1.5 * 2^52 rounds a double of moderate size to the nearest integer.
constexpr double kRoundInteger = 6755399441055744.0;

// Eight components of a row's residual; `count` < 8 of them exist, the others are zero.
template <class S, class T>
VR_INLINE f64x8 residual8(const QuantizeI8& a, const T* rows, std::size_t row, std::size_t j,
                          std::size_t count) {
    const T* at = rows + row * a.dim + j;
    f64x8 x = count < 8 ? widen_tail<S>(at, count) : widen8<S>(at);
    if (a.scales) x = x * static_cast<double>(a.scales[row]);
    return x - doubles_at(a.center + j);  // the center's padding is zero
}

template <class S, class T>
double largest_residual_of(const QuantizeI8& a, const T* rows) {
    f64x8 largest = {};
    for (std::size_t i = 0; i < a.n_rows; ++i) {
        for (std::size_t j = 0; j < a.dim; j += 8) {
            const f64x8 r = residual8<S>(a, rows, i, j, a.dim - j < 8 ? a.dim - j : 8);
            largest = larger(larger(r, -r), largest);
        }
    }
    double lanes[8];
    store(lanes, largest);
    double most = 0;
    for (const double size : lanes) most = size > most ? size : most;
    return most;
}

template <class S>
double largest_residual(const QuantizeI8& a) {
    return by_type(a.rows, [&](const auto* rows) { return largest_residual_of<S>(a, rows); });
}

// Four codes of one item lie together, the items of a panel side by side.
VR_INLINE void store_codes(const QuantizeI8& a, std::size_t row, std::size_t j, f64x8 codes) {
    const std::size_t n_quads = (a.dim + 3) / 4;
    std::uint32_t quads[2];
    to_bytes(codes, quads);
    std::uint8_t* panel = a.codes + row / kPanelItems * n_quads * kPanelItems * 4;
    for (std::size_t h = 0; h < 2 && j / 4 + h < n_quads; ++h) {
        __builtin_memcpy(panel + ((j / 4 + h) * kPanelItems + row % kPanelItems) * 4, &quads[h], 4);
    }
}

template <class S, class T>
void quantize_rows(QuantizeI8& a, const T* rows) {
    const double per_step = 1.0 / a.step;
    const f64x8 most = f64x8{} + 127.0;
    a.largest_code2 = 0;
    a.largest_error2 = 0;
    for (std::size_t i = 0; i < a.n_rows; ++i) {
        f64x8 code2 = {};
        f64x8 error2 = {};
        for (std::size_t j = 0; j < a.dim; j += 8) {
            const f64x8 r = residual8<S>(a, rows, i, j, a.dim - j < 8 ? a.dim - j : 8);
            f64x8 c = (r * per_step + kRoundInteger) - kRoundInteger;
            c = larger(-most, smaller(most, c));
            const f64x8 coded = c * a.step;
            const f64x8 e = r - coded;
            code2 += coded * coded;
            error2 += e * e;
            store_codes(a, i, j, c + 128.0);
        }
        const double c2 = reduce8(code2);
        const double e2 = reduce8(error2);
        a.largest_code2 = c2 > a.largest_code2 ? c2 : a.largest_code2;
        a.largest_error2 = e2 > a.largest_error2 ? e2 : a.largest_error2;
    }
    for (std::size_t i = a.n_rows; i < a.n_panels * kPanelItems; ++i) {
        for (std::size_t j = 0; j < a.dim; j += 8) store_codes(a, i, j, f64x8{} + 128.0);
    }
}

template <class S>
void quantize_i8(QuantizeI8& a) {
    by_type(a.rows, [&](const auto* rows) { quantize_rows<S>(a, rows); });
}

}  // namespace
}  // namespace vecrecall::kernels
