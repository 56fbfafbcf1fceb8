#include "scan/selection.hpp"

#include <algorithm>
#include <cfloat>
#include <cstdint>
#include <limits>

namespace vecrecall::scan {
namespace {

// No branch depends on the data: four values a cycle where a partition mispredicts every second
// one.
std::size_t count_reaching(const float* values, std::size_t n, float floor) {
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < n; ++i) count += values[i] >= floor ? 1U : 0U;
    return count;
}

}  // namespace

float reached_by(const float* values, std::size_t n, std::size_t k) {
    float smallest = FLT_MAX;
    float largest = -FLT_MAX;
    for (std::size_t i = 0; i < n; ++i) {
        const float finite = std::clamp(values[i], -FLT_MAX, FLT_MAX);
        smallest = finite < smallest ? finite : smallest;
        largest = finite > largest ? finite : largest;
    }
    if (n < k || count_reaching(values, n, smallest) < k) {
        return -std::numeric_limits<float>::infinity();
    }
    // Bisection in double: the sum of two floats does not overflow.
    double low = smallest;
    double high = largest;
    for (int step = 0; step < 14; ++step) {
        const double middle = (low + high) / 2;
        const auto floor = static_cast<float>(middle);
        if (count_reaching(values, n, floor) >= k) low = floor;
        else high = middle;
    }
    return static_cast<float>(low);
}

}  // namespace vecrecall::scan
