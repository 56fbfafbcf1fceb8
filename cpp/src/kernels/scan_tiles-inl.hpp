// The int8 scan by tiles: sixteen queries are the rows of a tile, sixteen items its columns.
#pragma once

#include "kernels/scan_i8-inl.hpp"
#include "kernels/tiles.hpp"

namespace vecrecall::kernels {
namespace {

// Queries whose starts are spread out at a time: 16 KB, which stay in the nearest cache with the
// queries.
constexpr std::size_t kTiledAtOnce = 256;

// So far ahead codes are fetched at least: with few queries a group takes less time than memory.
constexpr std::size_t kLeastAhead = 8192;

// The items of a block's sums.
template <class S>
struct TwoPanels : S {
    static constexpr std::size_t kGroup = 2 * kPanelItems;
};

// Two panels of codes.
struct PanelPair {
    const std::uint8_t* first[2];
    const std::uint8_t* last[2];  // of the last step
    alignas(64) std::uint8_t copies[2][kTileBytes];
};

VR_INLINE void find_panels(const ScanI8& a, std::size_t panel, PanelPair& pair) {
    const std::size_t panel_bytes = a.n_quads * kQuadBytes;
    const std::uint8_t* end = a.codes + a.n_panels * panel_bytes;
    for (std::size_t p = 0; p < 2; ++p) {
        pair.first[p] = a.codes + (panel + p) * panel_bytes;
        pair.last[p] = last_step(pair.first[p], a.n_quads, end, pair.copies[p]);
    }
}

// The sums of kTiles tiles of queries with two panels, [query][32 items]. With one step the panels
// are in tiles 6 and 7 already.
template <class T, int kTiles, bool kOneStep>
VR_INLINE void dot_tiles(T& tiles, const PanelPair& pair, std::size_t steps,
                         const std::int8_t* queries, const std::int32_t* starts,
                         std::int32_t* sums) {
    constexpr std::size_t kStride = 2 * kTileRowBytes;
    tiles.template load<0>(starts, kTileRowBytes);
    tiles.template load<1>(starts, kTileRowBytes);
    if constexpr (kTiles == 2) {
        tiles.template load<2>(starts + kTileBytes / 4, kTileRowBytes);
        tiles.template load<3>(starts + kTileBytes / 4, kTileRowBytes);
    }
    for (std::size_t k = 0; k < steps; ++k) {
        const bool last = k + 1 == steps;
        tiles.template load<4>(queries + k * kTileBytes, kTileRowBytes);
        if constexpr (!kOneStep) {
            tiles.template load<6>(last ? pair.last[0] : pair.first[0] + k * kTileBytes,
                                   kTileRowBytes);
        }
        tiles.template multiply<0, 4, 6>();
        if constexpr (!kOneStep) {
            tiles.template load<7>(last ? pair.last[1] : pair.first[1] + k * kTileBytes,
                                   kTileRowBytes);
        }
        tiles.template multiply<1, 4, 7>();
        if constexpr (kTiles == 2) {
            tiles.template load<5>(queries + (steps + k) * kTileBytes, kTileRowBytes);
            tiles.template multiply<2, 5, 6>();
            tiles.template multiply<3, 5, 7>();
        }
    }
    tiles.template store<0>(sums, kStride);
    tiles.template store<1>(sums + kPanelItems, kStride);
    if constexpr (kTiles == 2) {
        tiles.template store<2>(sums + 2 * kTileBytes / 4, kStride);
        tiles.template store<3>(sums + 2 * kTileBytes / 4 + kPanelItems, kStride);
    }
}

// The sums of a query with the items of a block that began lower by its threshold, its sign clear
// where any may pass.
template <class S>
VR_INLINE typename S::I32 any_of_row(const std::int32_t* row) {
    using V = typename S::I32;
    V below = load<V>(row);
    VR_UNROLL
    for (int v = 1; v < kVecs<S>; ++v) below &= load<V>(row + v * S::kLanes);
    return below;
}

template <class S>
VR_INLINE void filter_shifted_row(const ScanI8& a, const std::int32_t* row, std::size_t first,
                                  std::size_t query) {
    using V = typename S::I32;
    if (S::at_least(any_of_row<S>(row), S::set(0)) == 0) return;
    const V threshold = S::set(a.threshold_filter.int_thresholds[query]);
    V values[kVecs<S>];
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) values[v] = load<V>(row + v * S::kLanes) + threshold;
    filter<S, 1>(a.threshold_filter, values, first, query);
}

// The sums of sixteen queries with two panels. A tile of sums has a hit less often than not, a row
// hardly ever: one branch for all rows, then one for each four.
template <class S>
VR_INLINE void filter_shifted_tile(const ScanI8& a, const std::int32_t* sums, std::size_t first,
                                   std::size_t q0) {
    using V = typename S::I32;
    constexpr std::size_t kRowsInPart = 4;
    constexpr std::size_t kParts = kTileRows / kRowsInPart;
    V below[kParts];
    VR_UNROLL
    for (std::size_t p = 0; p < kParts; ++p) {
        const std::int32_t* rows = sums + p * kRowsInPart * S::kGroup;
        below[p] = any_of_row<S>(rows);
        VR_UNROLL
        for (std::size_t r = 1; r < kRowsInPart; ++r)
            below[p] &= any_of_row<S>(rows + r * S::kGroup);
    }
    const V all = (below[0] & below[1]) & (below[2] & below[3]);
    if (__builtin_expect(S::at_least(all, S::set(0)) == 0, 1)) return;
    VR_UNROLL
    for (std::size_t p = 0; p < kParts; ++p) {
        if (S::at_least(below[p], S::set(0)) == 0) continue;
        for (std::size_t r = p * kRowsInPart; r < (p + 1) * kRowsInPart; ++r) {
            filter_shifted_row<S>(a, sums + r * S::kGroup, first, q0 + r);
        }
    }
}

template <class S, Test kTest>
VR_INLINE void filter_tile(const ScanI8& a, const std::int32_t* sums, std::size_t first,
                           std::size_t q0) {
    using V = typename S::I32;
    if constexpr (kTest == Test::kShifted) {
        filter_shifted_tile<S>(a, sums, first, q0);
    } else {
        for (std::size_t r = 0; r < kTileRows; ++r) {
            V row[kVecs<S>];
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; ++v) {
                row[v] = load<V>(sums + r * S::kGroup + v * S::kLanes);
            }
            filter_sums<S, 1, kTest>(a, row, first, q0 + r);
        }
    }
}

template <class S, class T, Test kTest, int kTiles, bool kOneStep>
VR_INLINE void scan_block_tiles(T& tiles, const ScanI8& a, const PanelPair& pair, std::size_t panel,
                                std::size_t q0, const std::int32_t* starts) {
    using Two = TwoPanels<S>;
    alignas(64) std::int32_t sums[kTiles * kTileRows * Two::kGroup];
    const std::size_t steps = kOneStep ? 1 : tile_steps(a.n_quads);
    dot_tiles<T, kTiles, kOneStep>(tiles, pair, steps, a.queries + q0 * steps * kTileRowBytes,
                                   starts, sums);
    VR_UNROLL
    for (int t = 0; t < kTiles; ++t) {
        filter_tile<Two, kTest>(a, sums + t * kTileRows * Two::kGroup, panel * kPanelItems,
                                q0 + t * kTileRows);
    }
}

// Queries begin .. end of those that lie as tiles, against two panels.
template <class S, class T, Test kTest, bool kOneStep, class Ahead>
VR_INLINE void scan_pair_tiles(T& tiles, const ScanI8& a, std::size_t panel, std::size_t begin,
                               std::size_t end, const std::int32_t* starts, Ahead& ahead) {
    PanelPair pair;
    find_panels(a, panel, pair);
    if constexpr (kOneStep) {
        tiles.template load<6>(pair.last[0], kTileRowBytes);
        tiles.template load<7>(pair.last[1], kTileRowBytes);
    }
    std::size_t q0 = begin;
    for (; q0 + 2 * kTileRows <= end; q0 += 2 * kTileRows) {
        ahead.fetch_share();
        scan_block_tiles<S, T, kTest, 2, kOneStep>(tiles, a, pair, panel, q0,
                                                   starts + (q0 - begin) * kPanelItems);
    }
    if (q0 == end) return;
    ahead.fetch_share();
    scan_block_tiles<S, T, kTest, 1, kOneStep>(tiles, a, pair, panel, q0,
                                               starts + (q0 - begin) * kPanelItems);
}

// The queries behind those that lie as tiles.
VR_INLINE ScanI8 left_over(const ScanI8& a) {
    const std::size_t n = a.n_tiled;
    ScanI8 rest = a;
    rest.queries += n * tile_steps(a.n_quads) * kTileRowBytes;
    rest.n_queries -= n;
    rest.n_tiled = 0;
    rest.starts += n;
    if (a.scales) rest.scales += n;
    rest.threshold_filter.thresholds += n;
    rest.threshold_filter.int_thresholds += n;
    rest.threshold_filter.live += n;
    rest.threshold_filter.hits += n;
    return rest;
}

template <class S, Test kTest>
__attribute__((noinline)) void scan_left_over(const ScanI8& rest, std::size_t group) {
    constexpr int Q = S::kQueriesI8;
    std::size_t q0 = 0;
    for (; q0 + Q <= rest.n_queries; q0 += Q) scan_group_i8<S, Q, kTest>(rest, group, q0);
    scan_remainder_i8<S, Q - 1, kTest>(rest, group, q0, rest.n_queries - q0);
}

template <class S, class T, Test kTest, bool kOneStep>
__attribute__((noinline)) void scan_tiled_i8(const ScanI8& a) {
    constexpr std::size_t kPanels = kWordItems / kPanelItems;
    const ScanI8 rest = left_over(a);
    const std::size_t group_bytes = kPanels * a.n_quads * kQuadBytes;
    const std::size_t distance = group_bytes < kLeastAhead ? kLeastAhead : group_bytes;
    alignas(64) std::int32_t starts[kTiledAtOnce * kPanelItems];
    T tiles;
    for (std::size_t begin = 0; begin < a.n_tiled; begin += kTiledAtOnce) {
        const bool last = a.n_tiled - begin <= kTiledAtOnce;
        const std::size_t end = last ? a.n_tiled : begin + kTiledAtOnce;
        for (std::size_t q = begin; q < end; q += kTileRows) {
            spread_starts<S>(a.starts + q, starts + (q - begin) * kPanelItems);
        }
        const std::size_t shares = 2 * ((end - begin + 2 * kTileRows - 1) / (2 * kTileRows));
        auto ahead = FetchAhead<3>::in_shares(group_bytes, shares);
        for (std::size_t panel = 0; panel < a.n_panels; panel += kPanels) {
            ahead.start(a.codes + panel * a.n_quads * kQuadBytes + distance);
            for (std::size_t p = 0; p < kPanels; p += 2) {
                scan_pair_tiles<S, T, kTest, kOneStep>(tiles, a, panel + p, begin, end, starts,
                                                       ahead);
            }
            if (!last || rest.n_queries == 0) continue;
            for (std::size_t i = panel; i < panel + kPanels; i += S::kGroup / kPanelItems) {
                scan_left_over<S, kTest>(rest, i * kPanelItems / S::kGroup);
            }
        }
    }
}

template <class S, class T, Test kTest>
VR_INLINE void scan_tiled_i8(const ScanI8& a) {
    if (a.n_quads <= kTileQuads) scan_tiled_i8<S, T, kTest, true>(a);
    else scan_tiled_i8<S, T, kTest, false>(a);
}

template <class S, class T>
void scan_i8_tiles(const ScanI8& a) {
    if (a.n_tiled == 0) scan_i8<S>(a);
    else if (a.scales) scan_tiled_i8<S, T, Test::kOffsets>(a);
    else if (a.shifted) scan_tiled_i8<S, T, Test::kShifted>(a);
    else scan_tiled_i8<S, T, Test::kSums>(a);
}

}  // namespace
}  // namespace vecrecall::kernels
