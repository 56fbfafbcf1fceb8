// Tiles, the registers of a matrix unit. Their traits are a class of this form:
//     Tiles()                         shapes all tiles by kWholeTiles, whatever they were before
//     ~Tiles()                        releases them: signal frames and context switches stay small
//     zero<t>()
//     load<t>(from, stride)           sixteen rows of 64 bytes, `stride` bytes apart
//     store<t>(to, stride)
//     multiply<sums, s, u>()          sums[i][j] += sum over q, b of s[i][4q + b] * u[q][4j + b],
//                                     in int32, s int8, u uint8
#pragma once

#include "kernels/table.hpp"
#include "kernels/vectors.hpp"

namespace vecrecall::kernels {

// The operand of LDTILECFG.
struct alignas(64) TileShapes {
    std::uint8_t palette;
    std::uint8_t start_row;
    std::uint8_t reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
};

namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileRowBytes = 64;
constexpr std::size_t kTileBytes = kTileRows * kTileRowBytes;
constexpr std::size_t kTileQuads = kTileRows;  // of codes: a row is a quad of sixteen items

// Constant data, loaded at the entry of every kernel call: other code in this thread may have
// shaped the tiles as it likes.
constexpr TileShapes kWholeTiles = {
    .palette = 1,
    .start_row = 0,
    .reserved = {},
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

// Steps of sixteen quads: the rows that meet codes are padded with zeros to whole ones.
VR_INLINE std::size_t tile_steps(std::size_t n_quads) {
    return (n_quads + kTileQuads - 1) / kTileQuads;
}

// Where the last step of a panel reads its codes. Past the panel that is the next one,
// times zero; where the array ends before, a copy that zeros follow.
VR_INLINE const std::uint8_t* last_step(const std::uint8_t* panel, std::size_t n_quads,
                                        const std::uint8_t* end, std::uint8_t* copy) {
    const std::size_t at = (tile_steps(n_quads) - 1) * kTileBytes;
    if (panel + at + kTileBytes <= end) return panel + at;
    const std::size_t left = n_quads * kTileRowBytes - at;
    __builtin_memcpy(copy, panel + at, left);
    __builtin_memset(copy + left, 0, kTileBytes - left);
    return copy;
}

// Each of sixteen numbers sixteen times: what the sums of a tile begin with.
template <class S>
VR_INLINE void spread_starts(const std::int32_t* starts, std::int32_t* tile) {
    for (std::size_t r = 0; r < kTileRows; ++r) {
        const auto start = S::set(starts[r]);
        VR_UNROLL
        for (std::size_t i = 0; i < kPanelItems; i += S::kLanes) {
            store(tile + r * kPanelItems + i, start);
        }
    }
}

}  // namespace
}  // namespace vecrecall::kernels
