// The float32 scan: register-blocked inner products fused with the threshold test.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

// Out of the hot loop: a group of 16 or 64 items yields a hit once in thousands.
template <std::size_t kItems>
__attribute__((noinline)) void emit(const float* values, std::uint64_t mask, std::uint32_t row,
                                    HitList& list) {
    static_assert(kItems <= kWordItems);
    Hit* out = list.hits + list.count;
    for (; mask != 0; mask &= mask - 1) {
        const int i = __builtin_ctzll(mask);
        out->row = row + static_cast<std::uint32_t>(i);
        __builtin_memcpy(&out->raw, values + i, sizeof(float));
        ++out;
    }
    list.count = static_cast<std::uint32_t>(out - list.hits);
}

// One register block: kGroup items against Q queries.
template <class S, int Q>
VR_INLINE void scan_group(const ScanF32& a, std::size_t group, std::size_t q0) {
    using V = typename S::F32;
    constexpr int kVecs = static_cast<int>(S::kGroup) / S::kLanes;
    constexpr std::size_t kPerPanel = kPanelItems / S::kLanes;
    const std::size_t first = group * S::kGroup;
    const float* panel = a.panels + first * a.dim;
    const std::size_t panel_stride = a.dim * kPanelItems;
    const float* query = a.queries + q0 * a.dim;

    V acc[kVecs][Q];
    for (int v = 0; v < kVecs; ++v) {
        const V start = load<V>(a.offsets + first + v * S::kLanes);
        for (int q = 0; q < Q; ++q) acc[v][q] = start;
    }
    for (std::size_t j = 0; j < a.dim; ++j) {
        V x[kVecs];
        for (int v = 0; v < kVecs; ++v) {
            x[v] = load<V>(panel + (v / kPerPanel) * panel_stride + j * kPanelItems +
                           (v % kPerPanel) * S::kLanes);
        }
        for (int q = 0; q < Q; ++q) {
            const V b = S::set(query[j * Q + q]);
            for (int v = 0; v < kVecs; ++v) acc[v][q] = S::multiply_add(b, x[v], acc[v][q]);
        }
    }

    const std::size_t word = first / kWordItems;
    const std::size_t shift = first % kWordItems;
    constexpr std::uint64_t kAll = ~std::uint64_t{0} >> (kWordItems - S::kGroup);
    for (int q = 0; q < Q; ++q) {
        const V threshold = S::set(a.thresholds[q0 + q]);
        std::uint64_t mask = 0;
        for (int v = 0; v < kVecs; ++v) {
            mask |= S::not_less(acc[v][q], threshold) << (v * S::kLanes);
        }
        mask &= (a.live[q0 + q][word] >> shift) & kAll;
        if (__builtin_expect(mask != 0, 0)) {
            float values[S::kGroup];
            for (int v = 0; v < kVecs; ++v) store(values + v * S::kLanes, acc[v][q]);
            emit<S::kGroup>(values, mask, a.first_row + static_cast<std::uint32_t>(first),
                            a.hits[q0 + q]);
        }
    }
}

template <class S, int Q>
VR_INLINE void scan_remainder(const ScanF32& a, std::size_t group, std::size_t q0,
                              std::size_t queries) {
    if constexpr (Q > 0) {
        if (queries == Q) scan_group<S, Q>(a, group, q0);
        else scan_remainder<S, Q - 1>(a, group, q0, queries);
    }
}

// Groups outside, queries inside: a group's panels stay in the first-level cache.
template <class S>
void scan_f32(const ScanF32& a) {
    const std::size_t n_groups = a.n_panels * kPanelItems / S::kGroup;
    const std::size_t whole = a.n_queries - a.n_queries % S::kQueries;
    for (std::size_t g = 0; g < n_groups; ++g) {
        for (std::size_t q0 = 0; q0 < whole; q0 += S::kQueries) scan_group<S, S::kQueries>(a, g, q0);
        scan_remainder<S, S::kQueries - 1>(a, g, whole, a.n_queries - whole);
    }
}

}  // namespace
}  // namespace vecrecall::kernels
