// Kernels on rows of half precision give the bits of the same rows in float32.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "guarded.hpp"
#include "kernels/registry.hpp"
#include "on_every_isa.hpp"

using namespace vecrecall;
using kernels::KernelTable;

namespace {

constexpr RowType kHalves[] = {RowType::kFloat16, RowType::kBFloat16};
constexpr std::size_t kRows = 37;  // two panels and some
constexpr std::size_t kWidest = 70;

// By the definition: a sign, an exponent, a fraction.
float expected_value(RowType type, std::uint16_t bits) {
    const bool ieee = type == RowType::kFloat16;
    const int fraction_bits = ieee ? 10 : 7;
    const int exponent_bits = 15 - fraction_bits;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == (1 << exponent_bits) - 1) {
        return fraction == 0 ? static_cast<float>(sign * INFINITY) : NAN;
    }
    const int whole = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
    const int power = (exponent == 0 ? 1 : exponent) - bias - fraction_bits;
    return static_cast<float>(sign * std::ldexp(whole, power));
}

// Bits, where all that is no number counts as the same.
template <class T>
auto comparable(T x) {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    return x == x ? std::bit_cast<Bits>(x) : std::numeric_limits<Bits>::max();
}

template <class T>
std::size_t n_different(const std::vector<T>& a, const std::vector<T>& b) {
    std::size_t n = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
        n += comparable(a[i]) != comparable(b[i]) ? 1 : 0;
    }
    return n;
}

enum class Values { kFinite, kAny };

// Rows that begin where no vector does and end where nothing can be read, and the same in float32.
class TwoRows {
  public:
    TwoRows(RowType type, std::size_t n, Values values, unsigned seed)
        : narrow_(2 * n), type_(type), wide_(n) {
        std::mt19937 engine(seed);
        const bool ieee = type == RowType::kFloat16;
        // Denormals, zeros of both signs, the largest and what is next to where they end.
        const std::vector<std::uint16_t> odd =
            ieee ? std::vector<std::uint16_t>{0, 0x8000, 1, 0x8001, 0x3FF, 0x83FF, 0x400, 0x7BFF}
                 : std::vector<std::uint16_t>{0, 0x8000, 1, 0x8001, 0x7F, 0x807F, 0x80, 0x4B7F};
        const std::vector<std::uint16_t> none =
            ieee ? std::vector<std::uint16_t>{0x7C00, 0xFC00, 0x7E00, 0xFD01}
                 : std::vector<std::uint16_t>{0x7F80, 0xFF80, 0x7FC0, 0xFFA1};
        for (std::size_t i = 0; i < n; ++i) {
            // Exponents about that of 1, signs and fractions of any kind.
            auto bits = static_cast<std::uint16_t>(engine());
            bits = ieee ? (bits & 0x8FFF) | 0x3000 : (bits & 0x83FF) | 0x3C00;
            const unsigned draw = engine() % 64;
            if (draw < 16) bits = odd[draw % odd.size()];
            if (draw == 63 && values == Values::kAny) bits = none[engine() % none.size()];
            std::memcpy(narrow_.data() + 2 * i, &bits, 2);
            wide_[i] = expected_value(type, bits);
        }
    }

    RowPointer narrow() const { return {narrow_.data(), type_}; }
    RowPointer wide() const { return wide_.data(); }
    const float* floats() const { return wide_.data(); }

  private:
    test::GuardedBytes narrow_;
    RowType type_;
    std::vector<float> wide_;
};

std::vector<double> numbers(std::size_t n, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<double> drawn(n);
    for (double& x : drawn) x = normal(engine);
    return drawn;
}

std::vector<float> floats(std::size_t n, unsigned seed) {
    const std::vector<double> wide = numbers(n, seed);
    return {wide.begin(), wide.end()};
}

// On every instruction set: both types, all widths; `run` takes the kernels and the rows.
template <class Run>
void on_all_rows(Values values, const Run& run) {
    for (const std::string& name : test::tested_isas()) {
        CAPTURE(name);
        for (const RowType type : kHalves) {
            CAPTURE(static_cast<int>(type));
            for (std::size_t dim = 1; dim <= kWidest; ++dim) {
                CAPTURE(dim);
                const TwoRows rows(type, kRows * dim, values, static_cast<unsigned>(dim));
                run(kernels::named(name), rows, dim);
            }
        }
    }
}

TEST_CASE("rows: every value of half precision is widened exactly") {
    for (const std::string& name : test::tested_isas()) {
        CAPTURE(name);
        const KernelTable& table = kernels::named(name);
        for (const RowType type : kHalves) {
            std::vector<std::uint16_t> all(65536);
            std::vector<float> wanted(all.size());
            for (std::size_t i = 0; i < all.size(); ++i) {
                all[i] = static_cast<std::uint16_t>(i);
                wanted[i] = expected_value(type, all[i]);
            }
            std::vector<float> found(all.size());
            table.widen({all.data(), type}, all.size(), found.data());
            CHECK(n_different(found, wanted) == 0);
            // One at a time, where the tail is that of no vector.
            for (std::size_t i = 0; i < all.size(); ++i) table.widen({&all[i], type}, 1, &found[i]);
            CHECK(n_different(found, wanted) == 0);
        }
    }
}

// The same on all sets: a signaling float16 becomes quiet, the other bits of a NaN stay.
TEST_CASE("rows: what is no number keeps its bits") {
    for (const std::string& name : test::tested_isas()) {
        CAPTURE(name);
        const std::vector<std::uint16_t> halves(17, 0xFD01);
        const std::vector<std::uint16_t> brains(17, 0xFFA1);
        std::vector<float> found(17);
        kernels::named(name).widen({halves.data(), RowType::kFloat16}, 17, found.data());
        for (const float x : found) CHECK(std::bit_cast<std::uint32_t>(x) == 0xFFE02000U);
        kernels::named(name).widen({brains.data(), RowType::kBFloat16}, 17, found.data());
        for (const float x : found) CHECK(std::bit_cast<std::uint32_t>(x) == 0xFFA10000U);
    }
}

TEST_CASE("rows: exact sums") {
    const std::uint32_t index[] = {36, 0, 5, 5, 17, 1, 2};
    on_all_rows(Values::kAny, [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
        std::vector<double> query = numbers((dim + 7) / 8 * 8, 1);
        std::fill(query.begin() + static_cast<std::ptrdiff_t>(dim), query.end(), 0.0);
        for (const bool picked : {false, true}) {
            const std::size_t n = picked ? std::size(index) : kRows;
            std::vector<double> sums[2][4];
            for (int side = 0; side < 2; ++side) {
                for (auto& s : sums[side]) s.assign(n, 0.0);
                const RowPointer at = side == 0 ? rows.narrow() : rows.wide();
                const std::uint32_t* which = picked ? index : nullptr;
                auto& to = sums[side];
                table.sum_products(query.data(), at, dim, which, n, to[0].data());
                table.sum_squared_differences(query.data(), at, dim, which, n, to[1].data());
                table.sum_products_and_squares(query.data(), at, dim, which, n, to[2].data(),
                                               to[3].data());
            }
            for (int i = 0; i < 4; ++i) CHECK(n_different(sums[0][i], sums[1][i]) == 0);
        }
    });
}

TEST_CASE("rows: pairs") {
    const kernels::Pair pairs[] = {{36, 1}, {0, 0}, {7, 2}, {7, 1}, {12, 2}, {36, 0}};
    on_all_rows(Values::kAny, [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
        const std::vector<float> centroids = floats(3 * dim, 2);
        std::vector<double> sums[2][2];
        for (int side = 0; side < 2; ++side) {
            for (auto& s : sums[side]) s.assign(std::size(pairs), 0.0);
            kernels::SumPairs job{side == 0 ? rows.narrow() : rows.wide(),
                                  centroids.data(),
                                  dim,
                                  pairs,
                                  std::size(pairs),
                                  sums[side][0].data()};
            table.pair_products(job);
            job.sums = sums[side][1].data();
            table.pair_squared_differences(job);
        }
        CHECK(n_different(sums[0][0], sums[1][0]) == 0);
        CHECK(n_different(sums[0][1], sums[1][1]) == 0);
    });
}

TEST_CASE("rows: panels") {
    on_all_rows(Values::kAny, [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
        const std::vector<float> scales = floats(kRows, 3);
        const std::vector<float> center = floats(dim, 4);
        for (const bool scaled : {false, true}) {
            std::vector<float> panels[2];
            for (int side = 0; side < 2; ++side) {
                panels[side].assign(4 * kernels::kPanelItems * dim, -1.0F);
                table.pack_f32({.rows = side == 0 ? rows.narrow() : rows.wide(),
                                .n_rows = kRows,
                                .dim = dim,
                                .scales = scaled ? scales.data() : nullptr,
                                .center = center.data(),
                                .panels = panels[side].data(),
                                .n_panels = 4});
            }
            CHECK(n_different(panels[0], panels[1]) == 0);
        }
    });
}

TEST_CASE("rows: codes") {
    on_all_rows(Values::kFinite,
                [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
                    const std::vector<double> scales = numbers(kRows, 5);
                    std::vector<double> center = numbers((dim + 7) / 8 * 8, 6);
                    std::fill(center.begin() + static_cast<std::ptrdiff_t>(dim), center.end(), 0.0);
                    for (const bool scaled : {false, true}) {
                        std::vector<std::uint8_t> codes[2];
                        std::vector<double> sizes[2];
                        for (int side = 0; side < 2; ++side) {
                            codes[side].assign(4 * kernels::kPanelItems * ((dim + 3) / 4 * 4), 7);
                            kernels::QuantizeI8 job{.rows = side == 0 ? rows.narrow() : rows.wide(),
                                                    .n_rows = kRows,
                                                    .dim = dim,
                                                    .scales = scaled ? scales.data() : nullptr,
                                                    .center = center.data(),
                                                    .step = 0.03,
                                                    .codes = codes[side].data(),
                                                    .n_panels = 4,
                                                    .largest_code2 = 0,
                                                    .largest_error2 = 0};
                            const double largest = table.largest_residual(job);
                            table.quantize_i8(job);
                            sizes[side] = {largest, job.largest_code2, job.largest_error2};
                        }
                        CHECK(codes[0] == codes[1]);
                        CHECK(n_different(sizes[0], sizes[1]) == 0);
                    }
                });
}

TEST_CASE("rows: the scan of rows in place") {
    on_all_rows(Values::kAny, [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
        const std::size_t padded = (dim + 15) / 16 * 16;
        std::vector<float> query = floats(padded, 7);
        std::vector<float> center = floats(padded, 8);
        std::fill(query.begin() + static_cast<std::ptrdiff_t>(dim), query.end(), 0.0F);
        std::fill(center.begin() + static_cast<std::ptrdiff_t>(dim), center.end(), 0.0F);
        const std::vector<float> scales = floats(kRows, 9);
        const std::vector<float> offsets = floats(kernels::kWordItems, 10);
        const float threshold = -INFINITY;
        const std::uint64_t live = (std::uint64_t{1} << kRows) - 1;
        const std::uint64_t* const words = &live;
        for (const bool scaled : {false, true}) {
            std::vector<float> raw[2];
            for (int side = 0; side < 2; ++side) {
                kernels::Hit hits[kernels::kWordItems];
                kernels::HitList list{hits, 0};
                table.scan_rows_f32({.rows = side == 0 ? rows.narrow() : rows.wide(),
                                     .n_rows = kRows,
                                     .dim = dim,
                                     .scales = scaled ? scales.data() : nullptr,
                                     .center = center.data(),
                                     .queries = query.data(),
                                     .n_queries = 1,
                                     .threshold_filter = {.offsets = offsets.data(),
                                                          .thresholds = &threshold,
                                                          .int_thresholds = nullptr,
                                                          .live = &words,
                                                          .first_row = 0,
                                                          .hits = &list}});
                REQUIRE(list.count == kRows);
                for (const kernels::Hit& hit : std::vector(hits, hits + kRows)) {
                    raw[side].push_back(std::bit_cast<float>(hit.raw));
                }
            }
            CHECK(n_different(raw[0], raw[1]) == 0);
        }
    });
}

// Of a bag: what it gives, and whether all was finite.
void check_bag(const KernelTable& table, const TwoRows& rows, std::size_t dim,
               const std::vector<std::int64_t>& bag, const double* weights, bool with_before) {
    const std::vector<float> rounded = floats(dim, 11);  // maxima are of floats
    const std::vector<double> before(rounded.begin(), rounded.end());
    for (const auto kernel : {table.pool_sum, table.pool_max}) {
        std::vector<float> out[2];
        std::vector<double> sums[2];
        bool finite[2];
        for (int side = 0; side < 2; ++side) {
            out[side].assign(dim, -1.0F);
            sums[side].assign(dim, -1.0);
            finite[side] = kernel({.table = side == 0 ? rows.narrow() : rows.wide(),
                                   .dim = dim,
                                   .rows = bag.data(),
                                   .weights = kernel == table.pool_sum ? weights : nullptr,
                                   .n_rows = bag.size(),
                                   .entries = bag.data(),
                                   .n_entries = bag.size(),
                                   .out = out[side].data(),
                                   .sums = sums[side].data(),
                                   .before = with_before ? before.data() : nullptr});
        }
        CHECK(n_different(out[0], out[1]) == 0);
        CHECK(n_different(sums[0], sums[1]) == 0);
        CHECK(finite[0] == finite[1]);
    }
}

TEST_CASE("rows: pooling") {
    const std::vector<std::int64_t> bag = {36, 0, 3, 3, 19, 20, 1, 11, 36, 7};
    const std::vector<double> weights = numbers(bag.size(), 12);
    for (const Values values : {Values::kFinite, Values::kAny}) {
        on_all_rows(values, [&](const KernelTable& table, const TwoRows& rows, std::size_t dim) {
            for (const bool with_before : {false, true}) {
                check_bag(table, rows, dim, bag, nullptr, with_before);
                check_bag(table, rows, dim, bag, weights.data(), with_before);
                check_bag(table, rows, dim, {}, nullptr, with_before);
            }
        });
    }
}

}  // namespace
