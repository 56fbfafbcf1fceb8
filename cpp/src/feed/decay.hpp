// Powers and logarithms of two in plain arithmetic: the same bits with every C library and
// processor, and a loop over them becomes vector code.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace vecrecall::feed {

// Half-lives from one time to another. Finite times may be further apart than float64 reaches.
inline double half_lives(double from, double to, double half_life) {
    const double apart = to - from;
    return std::isinf(apart) ? to / half_life - from / half_life : apart / half_life;
}

inline double power_of_two(std::int64_t n) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

// 2^x to within 2 ulp; exact for whole x. x may be infinite.
inline double exp2(double x) {
    constexpr double kRound = 0x1.8p52;  // added and taken away: the nearest whole number
    x = std::min(std::max(x, -1100.0), 1100.0);
    const double shifted = x + kRound;
    const double f = x - (shifted - kRound);  // exact, at most a half
    double p = 0x1.816193166d0f9p-40;         // (ln 2)^13 / 13!, and so on down
    p = p * f + 0x1.c3bd650fc2986p-36;
    p = p * f + 0x1.e8cac7351bb25p-32;
    p = p * f + 0x1.e4cf5158b8ecap-28;
    p = p * f + 0x1.b5253d395e7c4p-24;
    p = p * f + 0x1.62c0223a5c824p-20;
    p = p * f + 0x1.ffcbfc588b0c7p-17;
    p = p * f + 0x1.430912f86c787p-13;
    p = p * f + 0x1.5d87fe78a6731p-10;
    p = p * f + 0x1.3b2ab6fba4e77p-7;
    p = p * f + 0x1.c6b08d704a0cp-5;
    p = p * f + 0x1.ebfbdff82c58fp-3;
    p = p * f + 0x1.62e42fefa39efp-1;
    p = p * f + 1.0;
    // Two factors reach the denormals and infinity.
    const auto n = static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(shifted) -
                                             std::bit_cast<std::uint64_t>(kRound));
    const auto half = static_cast<std::int64_t>(static_cast<std::uint64_t>(n + 4096) >> 1) - 2048;
    return p * power_of_two(half) * power_of_two(n - half);
}

// log2(x) of a finite x > 0 to within about 2^-51 of max(1, |log2(x)|); exact for powers of two.
inline double log2(double x) {
    int exponent = 0;
    double m = std::frexp(x, &exponent);  // in [1/2, 1)
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        --exponent;
    }
    constexpr double kTerms[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                                 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
    const double s = (m - 1) / (m + 1);  // at most 0.172: enough terms of the series of atanh
    double p = 0;
    for (const double term : kTerms) p = p * (s * s) + term;
    return exponent + s * p * 0x1.71547652b82fep+1;  // 2 / ln 2
}

// A count `value` as of `time`, at `now`.
inline double decayed(double value, double time, double now, double half_life) {
    const double factor = exp2(-half_lives(time, now, half_life));
    return value == 0 ? 0 : value * factor;  // zero stays zero in the infinite past
}

}  // namespace vecrecall::feed
