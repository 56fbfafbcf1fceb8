// From a group's values to hits: the threshold test that every scan ends with.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

template <class S>
constexpr int kVecs = static_cast<int>(S::kGroup) / S::kLanes;

// Out of the hot loop: a group of 16 or 64 items yields a hit once in thousands.
template <std::size_t kItems>
__attribute__((noinline)) void emit(const void* values, std::uint64_t mask, std::uint32_t row,
                                    HitList& list) {
    static_assert(kItems <= kWordItems);
    Hit* out = list.hits + list.count;
    for (; mask != 0; mask &= mask - 1) {
        const int i = __builtin_ctzll(mask);
        out->row = row + static_cast<std::uint32_t>(i);
        __builtin_memcpy(&out->raw, static_cast<const char*>(values) + 4 * i, 4);
        ++out;
    }
    list.count = static_cast<std::uint32_t>(out - list.hits);
}

// Keeps the live items of a group whose compare bits are set. Value v is at values[v * kStride], so
// that a register block can pass a column of its accumulators.
template <class S, int kStride, class V>
VR_INLINE void keep(const ThresholdFilter& threshold_filter, const V* values, std::uint64_t mask,
                    std::size_t first, std::size_t query) {
    constexpr std::uint64_t kAll = ~std::uint64_t{0} >> (kWordItems - S::kGroup);
    mask &= (threshold_filter.live[query][first / kWordItems] >> (first % kWordItems)) & kAll;
    if (__builtin_expect(mask != 0, 0)) {
        V stored[kVecs<S>];
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) stored[v] = values[v * kStride];
        emit<S::kGroup>(stored, mask,
                        threshold_filter.first_row + static_cast<std::uint32_t>(first),
                        threshold_filter.hits[query]);
    }
}

template <class S, int kStride>
VR_INLINE void filter(const ThresholdFilter& threshold_filter, const typename S::F32* values,
                      std::size_t first, std::size_t query) {
    const auto threshold = S::set(threshold_filter.thresholds[query]);
    std::uint64_t mask = 0;
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        mask |= S::not_less(values[v * kStride], threshold) << (v * S::kLanes);
    }
    keep<S, kStride>(threshold_filter, values, mask, first, query);
}

template <class S, int kStride>
VR_INLINE void filter(const ThresholdFilter& threshold_filter, const typename S::I32* values,
                      std::size_t first, std::size_t query) {
    const auto threshold = S::set(threshold_filter.int_thresholds[query]);
    std::uint64_t mask = 0;
    VR_UNROLL
    for (int v = 0; v < kVecs<S>; ++v) {
        mask |= S::at_least(values[v * kStride], threshold) << (v * S::kLanes);
    }
    keep<S, kStride>(threshold_filter, values, mask, first, query);
}

}  // namespace
}  // namespace vecrecall::kernels
