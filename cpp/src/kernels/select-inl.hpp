// Finding about where the k-th largest of some floats lies, and which ones reach it, without
// sorting anything.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

constexpr float kFltMax = 3.40282347e+38F;

// No branch depends on the data, where a partition mispredicts every second value.
template <class S>
std::size_t count_reaching(const float* values, std::size_t n, float floor) {
    const auto floors = S::set(floor);
    typename S::I32 counts = {};
    std::size_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) {
        counts -= load<typename S::F32>(values + i) >= floors;  // true is -1
    }
    std::size_t count = 0;
    for (int lane = 0; lane < S::kLanes; ++lane) count += static_cast<std::size_t>(counts[lane]);
    for (; i < n; ++i) count += values[i] >= floor ? 1 : 0;
    return count;
}

struct Range {
    float smallest;
    float largest;
};

// Infinities count as the largest finite values.
template <class S>
Range range_of(const float* values, std::size_t n) {
    const auto least = S::set(-kFltMax);
    const auto most = S::set(kFltMax);
    auto low = most;
    auto high = least;
    std::size_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) {
        auto v = load<typename S::F32>(values + i);
        v = v < least ? least : v;
        v = v > most ? most : v;
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    Range range{low[0], high[0]};
    const auto take = [&range](float least_value, float largest_value) {
        range.smallest = least_value < range.smallest ? least_value : range.smallest;
        range.largest = largest_value > range.largest ? largest_value : range.largest;
    };
    for (int lane = 1; lane < S::kLanes; ++lane) take(low[lane], high[lane]);
    for (; i < n; ++i) {
        const float v = values[i] < -kFltMax ? -kFltMax : values[i] > kFltMax ? kFltMax : values[i];
        take(v, v);
    }
    return range;
}

// Integers in the order of floats.
VR_INLINE std::int64_t key_of(float x) {
    std::int32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits < 0 ? -std::int64_t{bits & 0x7FFFFFFF} : bits;
}

VR_INLINE float float_of(std::int64_t key) {
    const auto magnitude = static_cast<std::int32_t>(key < 0 ? -key : key);
    float x;
    __builtin_memcpy(&x, &magnitude, 4);
    return key < 0 ? -x : x;
}

// Bisects the floats between the smallest and the largest value, not the reals: one value far away
// costs a few steps more, and no precision.
template <class S>
float kth_largest_bound(const float* values, std::size_t n, std::size_t k) {
    const Range range = range_of<S>(values, n);
    if (n < k || count_reaching<S>(values, n, range.smallest) < k) return -__builtin_inff();
    std::int64_t low = key_of(range.smallest);
    std::int64_t high = key_of(range.largest) + 1;
    while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        const std::size_t count = count_reaching<S>(values, n, float_of(middle));
        if (count < k) {
            high = middle;
            continue;
        }
        low = middle;
        if (count - k <= k / 32) break;
    }
    return float_of(low);
}

// Every value's number is written, and stays if the value reaches the floor.
template <class S>
std::size_t indices_at_least(const float* values, std::size_t n, float floor,
                             std::uint32_t* numbers) {
    std::size_t count = 0;
    std::size_t i = 0;
    if constexpr (S::kCompresses) {
        for (; i + S::kLanes <= n; i += S::kLanes) {
            const auto v = load<typename S::F32>(values + i);
            count += S::write_reaching(v, floor, static_cast<std::uint32_t>(i), numbers + count);
        }
    }
    for (; i < n; ++i) {
        numbers[count] = static_cast<std::uint32_t>(i);
        count += values[i] >= floor ? 1 : 0;
    }
    return count;
}

}  // namespace
}  // namespace vecrecall::kernels
