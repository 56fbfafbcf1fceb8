// Checks that go on after a failure, and the pieces that the tests share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

namespace test {

inline int failures = 0;

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            ++test::failures;                                                    \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                        \
    } while (false)

#define CHECK_THROWS(expression, type)                                                          \
    do {                                                                                        \
        bool thrown = false;                                                                    \
        try {                                                                                   \
            expression;                                                                         \
        } catch (const type&) {                                                                 \
            thrown = true;                                                                      \
        }                                                                                       \
        if (!thrown) {                                                                          \
            ++test::failures;                                                                   \
            std::fprintf(stderr, "%s:%d: no %s: %s\n", __FILE__, __LINE__, #type, #expression); \
        }                                                                                       \
    } while (false)

inline int report(const char* name) {
    std::printf("%s: %s\n", name, failures == 0 ? "passed" : "FAILED");
    return failures == 0 ? 0 : 1;
}

// Exactly as large as asked for: AddressSanitizer sees the first byte read past it.
inline std::unique_ptr<float[]> gaussian(std::size_t n, unsigned seed) {
    auto values = std::make_unique<float[]>(n);
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < n; ++i) values[i] = normal(engine);
    return values;
}

}  // namespace test
