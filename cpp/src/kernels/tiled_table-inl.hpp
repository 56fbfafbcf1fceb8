// The table of an instruction set with a matrix unit: that of its vectors, but for the kernels that
// multiply tiles.
#pragma once

#include "kernels/bodies-inl.hpp"
#include "kernels/nearest_tiles-inl.hpp"
#include "kernels/scan_tiles-inl.hpp"

namespace vecrecall::kernels {
namespace {

// Products of a tile with a tile, in units of the vectors of the other peaks, so that rounds take
// about as long.
constexpr int kPeakTileLanes = 1024;
constexpr std::size_t kPeakUnitsInTile = kTileRows * kTileBytes / kPeakTileLanes;

template <class T>
std::uint64_t peak_i8_tiles(std::size_t rounds, const void* seed) {
    T tiles;
    tiles.template zero<0>();
    tiles.template zero<1>();
    tiles.template zero<2>();
    tiles.template zero<3>();
    tiles.template load<4>(seed, kTileRowBytes);
    tiles.template load<5>(seed, kTileRowBytes);
    tiles.template load<6>(seed, kTileRowBytes);
    tiles.template load<7>(seed, kTileRowBytes);
    constexpr std::size_t kUnitsInTurn = 4 * kPeakUnitsInTile;
    const std::size_t turns = (rounds * kPeakChains + kUnitsInTurn - 1) / kUnitsInTurn;
    for (std::size_t i = 0; i < turns; ++i) {
        tiles.template multiply<0, 4, 6>();
        tiles.template multiply<1, 4, 7>();
        tiles.template multiply<2, 5, 6>();
        tiles.template multiply<3, 5, 7>();
    }
    alignas(64) std::uint64_t used[kTileBytes / 8];
    std::uint64_t all = 0;
    tiles.template store<0>(used, kTileRowBytes);
    all += used[0];
    tiles.template store<1>(used, kTileRowBytes);
    all += used[0];
    tiles.template store<2>(used, kTileRowBytes);
    all += used[0];
    tiles.template store<3>(used, kTileRowBytes);
    return all + used[0];
}

// `vectors` is the table of the vectors alone.
template <class S, class T>
constexpr KernelTable make_tiled_table(const char* name, std::uint32_t features,
                                       const KernelTable& vectors) {
    KernelTable table = make_table<S>(name, features);
    table.vectors = &vectors;
    table.i8_tiles = {.rows = kTileRows, .log_step = 6};
    table.scan_i8 = scan_i8_tiles<S, T>;
    table.nearest_i8_group = kTileRows;
    table.nearest_i8_layout = {.rows = kTileRows, .log_step = 6};
    table.nearest_i8 = nearest_i8_tiles<S, T>;
    table.select_i8 = select_i8<S, kTileRows>;
    table.peak_i8_lanes = kPeakTileLanes;
    table.peak_i8 = peak_i8_tiles<T>;
    return table;
}

}  // namespace
}  // namespace vecrecall::kernels
