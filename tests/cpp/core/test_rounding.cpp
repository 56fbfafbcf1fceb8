// float32 to half precision: the nearest, ties to even, and what gets lost.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vecrecall/values.hpp"

using namespace vecrecall;

namespace {

struct Format {
    RowType type;
    int fraction_bits;
    int lowest;  // exponent of the smallest denormal
    std::uint16_t infinity;
};

constexpr Format kFormats[] = {{RowType::kFloat16, 10, -24, 0x7C00},
                               {RowType::kBFloat16, 7, -133, 0x7F80}};

// Of bits without a sign, by the definition; for infinity what would come behind the largest.
double value_of(const Format& f, std::uint16_t bits) {
    const int exponent = bits >> f.fraction_bits;
    const int fraction = bits & ((1 << f.fraction_bits) - 1);
    if (exponent == 0) return std::ldexp(fraction, f.lowest);
    return std::ldexp(fraction + (1 << f.fraction_bits), exponent - 1 + f.lowest);
}

// Values in rows of one, both signs.
void check_rounding(const Format& f, const std::vector<float>& x,
                    const std::vector<std::uint16_t>& wanted) {
    for (const int sign : {1, -1}) {
        std::vector<float> given = x;
        for (float& value : given) value = sign < 0 ? -value : value;
        std::vector<std::uint16_t> found(x.size());
        round_rows({given.data(), given.size(), 1}, f.type, found.data());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            wrong += found[i] != (sign < 0 ? wanted[i] | 0x8000 : wanted[i]) ? 1 : 0;
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("rounding: every value, what is half way to the next, and what is next to that") {
    for (const Format& f : kFormats) {
        CAPTURE(static_cast<int>(f.type));
        std::vector<float> given;
        std::vector<std::uint16_t> wanted;
        for (std::uint16_t bits = 0; bits < f.infinity; ++bits) {
            const double low = value_of(f, bits);
            const double high = value_of(f, bits + 1);
            const auto middle = static_cast<float>((low + high) / 2);
            REQUIRE(middle == (low + high) / 2);
            const auto next = static_cast<std::uint16_t>(bits + 1);
            given.insert(given.end(), {static_cast<float>(low), std::nextafter(middle, 0.0F),
                                       middle, std::nextafter(middle, INFINITY)});
            wanted.insert(wanted.end(), {bits, bits, (bits & 1) == 0 ? bits : next, next});
        }
        // Overflows stop the run of rows that they are in: those are looked at one by one.
        const std::size_t fit = given.size() - 2;
        check_rounding(f, {given.begin(), given.begin() + static_cast<std::ptrdiff_t>(fit)},
                       wanted);
        for (std::size_t i = fit; i < given.size(); ++i) check_rounding(f, {given[i]}, {wanted[i]});
        check_rounding(f, {INFINITY}, {f.infinity});
    }
}

TEST_CASE("rounding: what is no number stays so") {
    for (const Format& f : kFormats) {
        for (const std::uint32_t bits : {0x7FC00000U, 0x7F800001U, 0xFFFFFFFFU}) {
            const auto x = std::bit_cast<float>(bits);
            std::uint16_t half = 0;
            const RoundingLoss loss = round_rows({&x, 1, 1}, f.type, &half);
            CHECK((half & 0x7FFF) > f.infinity);
            CHECK((half >> 15) == (bits >> 31));
            CHECK((loss.largest == 0 && loss.mean == 0 && loss.overflow == -1));
        }
    }
}

TEST_CASE("rounding: what gets lost") {
    const float x[] = {3, 1 + 0x1p-12F, 0, -0.0F, INFINITY, NAN, -0x1p-30F, 65504};
    std::uint16_t half[8];
    const RoundingLoss loss = round_rows({x, 4, 2}, RowType::kFloat16, half);
    CHECK(loss.overflow == -1);
    CHECK(loss.largest == 1.0);  // 2^-30 has become zero
    CHECK(half[6] == 0x8000);
    CHECK(loss.mean == doctest::Approx((0x1p-12 / (1 + 0x1p-12) + 1.0) / 4).epsilon(1e-15));
    CHECK(round_rows({x, 3, 2}, RowType::kFloat16, half).largest == 0x1p-12 / (1 + 0x1p-12));
}

TEST_CASE("rounding: the first row that overflows, and the same loss from any number of threads") {
    constexpr std::size_t kRows = 20000;
    std::vector<float> x(2 * kRows);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0F / static_cast<float>(i + 1);
    std::vector<std::uint16_t> half(x.size());
    const RoundingLoss one = round_rows({x.data(), kRows, 2}, RowType::kFloat16, half.data(), 1);
    const RoundingLoss four = round_rows({x.data(), kRows, 2}, RowType::kFloat16, half.data(), 4);
    CHECK((one.largest == four.largest && one.mean == four.mean && one.overflow == -1));
    x[2 * 17001] = 70000;
    x[2 * 9000 + 1] = -65520;
    for (const int threads : {1, 4}) {
        const MatrixView rows{x.data(), kRows, 2};
        CHECK(round_rows(rows, RowType::kFloat16, half.data(), threads).overflow == 9000);
        CHECK(round_rows(rows, RowType::kBFloat16, half.data(), threads).overflow == -1);
    }
}

}  // namespace
