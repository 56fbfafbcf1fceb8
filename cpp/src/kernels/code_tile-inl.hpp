// A tile of points to int8 codes, each with a step of its own: points are in lanes, so that nothing
// crosses lanes.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

// Adding and subtracting 1.5 * 2^23 rounds a float of moderate size to the nearest integer; until
// the subtraction, the integer is in its low bits.
constexpr float kRoundFloat = 12582912.0F;

// The lengths and the steps of kLanes points.
template <class S>
VR_INLINE void measure_lanes(const CodeTile& a, const float* panel, std::size_t at) {
    using V = typename S::F32;
    V largest = S::set(0.0F);
    V square = S::set(0.0F);
    for (std::size_t j = 0; j < a.dim; ++j) {
        const V x = load<V>(panel + j * kPanelItems);
        largest = S::max(largest, S::max(x, -x));
        square = S::multiply_add(x, x, square);
    }
    const V step = largest * S::set(1.0F / 127.0F);
    const V one = S::set(1.0F);
    const V given = step > 0 ? step : one;
    store(a.steps + at, given);
    store(a.units + at, one / given);
    store(a.lengths + at, S::sqrt(square) / given);
}

template <class S>
VR_INLINE void code_lanes(const CodeTile& a, const float* panel, std::uint8_t* codes,
                          std::size_t at) {
    using V = typename S::F32;
    using I = typename S::I32;
    const V step = load<V>(a.steps + at);
    const V unit = load<V>(a.units + at);
    const V round = S::set(kRoundFloat);
    V square = S::set(0.0F);
    for (std::size_t j = 0; j < a.dim; j += 4) {
        I quad = S::set(0);
        for (std::size_t h = 0; h < 4; ++h) {
            const V x = j + h < a.dim ? load<V>(panel + (j + h) * kPanelItems) : S::set(0.0F);
            const V rounded = x * unit + round;
            const V miss = S::multiply_add(round - rounded, step, x);
            square = S::multiply_add(miss, miss, square);
            quad |= ((((I)rounded) + 128) & 255) << static_cast<int>(8 * h);
        }
        store(codes + j * kPanelItems, quad);
    }
    store(a.misses + at, S::sqrt(square) / step);
}

template <class S>
void code_tile(const CodeTile& a) {
    const std::size_t code_bytes = (a.dim + 3) / 4 * 4 * kPanelItems;
    for (std::size_t at = 0; at < kWordItems; at += S::kLanes) {
        const float* panel = a.panels + at / kPanelItems * a.dim * kPanelItems + at % kPanelItems;
        std::uint8_t* codes = a.codes + at / kPanelItems * code_bytes + at % kPanelItems * 4;
        measure_lanes<S>(a, panel, at);
        code_lanes<S>(a, panel, codes, at);
    }
}

}  // namespace
}  // namespace vecrecall::kernels
