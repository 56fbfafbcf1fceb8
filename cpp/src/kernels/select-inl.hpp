// Finding about where the k-th largest of some floats lies, without sorting anything.
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

template <class S>
float reached_by(const float* values, std::size_t n, std::size_t k) {
    const Range range = range_of<S>(values, n);
    if (n < k || count_reaching<S>(values, n, range.smallest) < k) return -__builtin_inff();
    // In double: the sum of two floats does not overflow.
    double low = range.smallest;
    double high = range.largest;
    for (int step = 0; step < 14; ++step) {
        const double middle = (low + high) / 2;
        const auto floor = static_cast<float>(middle);
        if (count_reaching<S>(values, n, floor) >= k) low = floor;
        else high = middle;
    }
    return static_cast<float>(low);
}

}  // namespace
}  // namespace vecrecall::kernels
