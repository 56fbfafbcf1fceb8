// Data that the tests share.
#pragma once

#include <cstddef>
#include <memory>
#include <random>

namespace test {

// Exactly as large as asked for: AddressSanitizer sees the first byte read past it.
inline std::unique_ptr<float[]> gaussian(std::size_t n, unsigned seed) {
    auto values = std::make_unique<float[]>(n);
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < n; ++i) values[i] = normal(engine);
    return values;
}

}  // namespace test
