// Nearest centroids by tiles: a group of sixteen centroids is the rows of a tile, sixteen points
// are its columns.
#pragma once

#include "kernels/nearest-inl.hpp"
#include "kernels/tiles.hpp"

namespace vecrecall::kernels {
namespace {

constexpr std::size_t kPointPanels = kWordItems / kPanelItems;
static_assert(kPointPanels == 4 && kTileRows <= kInGroupBits + 1 && kTileRows <= kColumns);

// The last steps of the panels of points, and what they are copied to.
struct PointPanels {
    const std::uint8_t* last[kPointPanels];
    alignas(64) std::uint8_t copies[kPointPanels][kTileBytes];
};

VR_INLINE void find_panels(const NearestI8& a, PointPanels& panels) {
    const std::size_t panel_bytes = a.n_quads * kQuadBytes;
    const std::uint8_t* end = a.codes + kPointPanels * panel_bytes;
    for (std::size_t p = 0; p < kPointPanels; ++p) {
        panels.last[p] = last_step(a.codes + p * panel_bytes, a.n_quads, end, panels.copies[p]);
    }
}

// The sums of a group of centroids with all points, [centroid][64 points].
template <class T>
VR_INLINE void dot_group(T& tiles, const NearestI8& a, const PointPanels& panels, std::size_t group,
                         const std::int32_t* starts, std::int32_t* sums) {
    constexpr std::size_t kStride = kWordItems * 4;
    const std::size_t steps = tile_steps(a.n_quads);
    const std::size_t panel_bytes = a.n_quads * kQuadBytes;
    const std::int8_t* centroids = a.centroids + group * steps * kTileBytes;
    tiles.template load<0>(starts, kTileRowBytes);
    tiles.template load<1>(starts, kTileRowBytes);
    tiles.template load<2>(starts, kTileRowBytes);
    tiles.template load<3>(starts, kTileRowBytes);
    for (std::size_t k = 0; k < steps; ++k) {
        const bool last = k + 1 == steps;
        const std::uint8_t* at = a.codes + k * kTileBytes;
        tiles.template load<4>(centroids + k * kTileBytes, kTileRowBytes);
        tiles.template load<5>(last ? panels.last[0] : at, kTileRowBytes);
        tiles.template multiply<0, 4, 5>();
        tiles.template load<6>(last ? panels.last[1] : at + panel_bytes, kTileRowBytes);
        tiles.template multiply<1, 4, 6>();
        tiles.template load<7>(last ? panels.last[2] : at + 2 * panel_bytes, kTileRowBytes);
        tiles.template multiply<2, 4, 7>();
        tiles.template load<5>(last ? panels.last[3] : at + 3 * panel_bytes, kTileRowBytes);
        tiles.template multiply<3, 4, 5>();
    }
    tiles.template store<0>(sums, kStride);
    tiles.template store<1>(sums + kPanelItems, kStride);
    tiles.template store<2>(sums + 2 * kPanelItems, kStride);
    tiles.template store<3>(sums + 3 * kPanelItems, kStride);
}

// The maxima of S::kGroup points over the centroids of a group.
template <class S>
VR_INLINE void note_sums(const NearestI8& a, std::size_t group, std::size_t first,
                         const std::int32_t* sums) {
    using F = typename S::F32;
    F best[kVecs<S>];
    F unit[kVecs<S>];
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        best[v] = S::set(-__builtin_inff());
        unit[v] = load<F>(a.points.units + first + v * S::kLanes);
    }
    for (std::size_t r = 0; r < kTileRows; ++r) {
        const F step = S::set(a.steps[group * kTileRows + r]);
        const F offset = S::set(a.offsets[group * kTileRows + r]);
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) {
            const auto sum = load<typename S::I32>(sums + r * kWordItems + first + v * S::kLanes);
            const F value =
                S::multiply_add(__builtin_convertvector(sum, F), step, offset * unit[v]);
            best[v] = S::max(best[v], tagged<S>(value, static_cast<int>(r)));
        }
    }
    note_group<S>(a.points, a.groups, a.reach, group, first, best);
}

template <class S, class T>
void nearest_i8_tiles(const NearestI8& a) {
    start_reach(a.reach);
    auto ahead = FetchAhead<2>::in_shares(a.prefetch.bytes, a.n_groups);
    ahead.start(a.prefetch.from);
    PointPanels panels;
    find_panels(a, panels);
    alignas(64) std::int32_t starts[kTileRows * kPanelItems];
    alignas(64) std::int32_t sums[kTileRows * kWordItems];
    T tiles;
    for (std::size_t g = 0; g < a.n_groups; ++g) {
        ahead.fetch_share();
        spread_starts<S>(a.starts + g * kTileRows, starts);
        dot_group(tiles, a, panels, g, starts, sums);
        for (std::size_t first = 0; first < kWordItems; first += S::kGroup) {
            note_sums<S>(a, g, first, sums);
        }
    }
}

}  // namespace
}  // namespace vecrecall::kernels
