// Values of any type to float32, exactly.
#pragma once

#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

template <class S, class T>
void widen_values(const T* values, std::size_t n, float* out) {
    std::size_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) store(out + i, S::floats(values + i));
    for (; i < n; ++i) out[i] = widened(values[i]);
}

template <class S>
void widen(RowPointer values, std::size_t n, float* out) {
    by_type(values, [&](const auto* typed) { widen_values<S>(typed, n, out); });
}

}  // namespace
}  // namespace vecrecall::kernels
