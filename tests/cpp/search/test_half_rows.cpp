// An index of rows in half precision is that of the same rows in float32, on every instruction set:
// searches, updates, parts and files.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "on_every_isa.hpp"
#include "saved_index.hpp"
#include "vecrecall/files.hpp"
#include "vecrecall/flat_index.hpp"
#include "vecrecall/index_arrays.hpp"
#include "vecrecall/ivf_index.hpp"
#include "vecrecall/values.hpp"

using namespace vecrecall;
using test::Answer;

namespace {

constexpr RowType kHalves[] = {RowType::kFloat16, RowType::kBFloat16};
constexpr Metric kMetrics[] = {Metric::kIp, Metric::kCosine, Metric::kL2};

// Rows of small numbers that both types have, and the same in float32; in memory of exact size. The
// lengths differ much, so that larger segments are ordered.
struct TwoRows {
    RowType type;
    std::size_t n;
    std::size_t dim;
    std::unique_ptr<std::uint16_t[]> narrow;
    std::unique_ptr<float[]> wide;

    TwoRows(RowType of, std::size_t rows, std::size_t width, unsigned seed)
        : type(of),
          n(rows),
          dim(width),
          narrow(new std::uint16_t[n * dim]),
          wide(new float[n * dim]) {
        std::mt19937 engine(seed);
        for (std::size_t i = 0; i < n; ++i) {
            const int scale = static_cast<int>(engine() % 8) - static_cast<int>(engine() % 8);
            for (std::size_t j = 0; j < dim; ++j) set(i * dim + j, engine, scale);
        }
    }

    ItemsView half(const std::int64_t* ids = nullptr) const {
        return {.rows = {RowPointer(narrow.get(), type), n, dim}, .ids = ids};
    }
    ItemsView floats(const std::int64_t* ids = nullptr) const {
        return {.rows = {wide.get(), n, dim}, .ids = ids};
    }

  private:
    // (1 + fraction / 128) * 2^scale, by its bits in both formats.
    void set(std::size_t i, std::mt19937& engine, int scale) {
        const unsigned fraction = engine() % 128;
        const unsigned sign = engine() % 2;
        const auto exponent = static_cast<unsigned>(scale + (type == RowType::kFloat16 ? 15 : 127));
        const unsigned bits =
            type == RowType::kFloat16 ? exponent << 10 | fraction << 3 : exponent << 7 | fraction;
        narrow[i] = static_cast<std::uint16_t>(sign << 15 | bits);
        const double size = std::ldexp(1 + fraction / 128.0, scale);
        wide[i] = static_cast<float>(sign == 0 ? size : -size);
    }
};

void check_same(const FlatIndex& a, const FlatIndex& b, std::size_t queries, std::size_t k) {
    const auto q = test::gaussian(queries * a.dim(), 5);
    Answer x(queries, k);
    Answer y(queries, k);
    const SearchOptions options{.k = k, .probes = kExactProbes, .threads = 2};
    a.search({q.get(), queries, a.dim()}, options, x.out);
    b.search({q.get(), queries, b.dim()}, options, y.out);
    CHECK((x.ids == y.ids && x.counts == y.counts));
    CHECK(std::memcmp(x.scores.data(), y.scores.data(), x.scores.size() * sizeof(float)) == 0);
}

void check_rows(const FlatIndex& index, const TwoRows& rows) {
    const Snapshot now = index.snapshot();
    std::vector<float> row(rows.dim);
    std::size_t n_same = 0;
    for (std::size_t i = 0; i < rows.n; ++i) {
        const auto id = static_cast<std::int64_t>(i);
        std::int64_t at = -1;
        now.find(&id, 1, &at);
        now.row(static_cast<std::size_t>(at), row.data());
        n_same +=
            std::memcmp(row.data(), rows.wide.get() + i * rows.dim, rows.dim * sizeof(float)) == 0;
    }
    CHECK(n_same == rows.n);
}

TEST_CASE("half rows: every width, on every instruction set") {
    test::on_every_isa([] {
        for (const RowType type : kHalves) {
            for (std::size_t dim = 1; dim <= 70; ++dim) {
                const TwoRows rows(type, 67, dim, static_cast<unsigned>(dim));
                const Metric metric = kMetrics[dim % 3];
                const auto q = test::gaussian(dim, 5);
                const auto wanted = test::expected_list(metric, q.get(), rows.floats());
                for (const auto& [copy, codes] :
                     {std::pair{false, true}, {true, true}, {false, false}}) {
                    const FlatIndex index(rows.half(), metric, {.copy = copy, .codes = codes});
                    CHECK(index.row_type() == type);
                    Answer answer(1, 20);
                    index.search({q.get(), 1, dim}, {.k = 20}, answer.out);
                    CHECK(test::n_as_expected(answer.ids.data(), answer.scores.data(), wanted,
                                              20) == 20);
                    check_same(index, FlatIndex(rows.floats(), metric), 9, 70);
                }
            }
        }
    });
}

TEST_CASE("half rows: updates, lists and parts") {
    for (const RowType type : kHalves) {
        for (const Metric metric : kMetrics) {
            const TwoRows rows(type, 15000, 6, 1);
            const TwoRows more(type, 700, 6, 2);
            std::vector<std::int64_t> ids(more.n);
            for (std::size_t i = 0; i < more.n; ++i) ids[i] = static_cast<std::int64_t>(30 * i);
            FlatIndex half(rows.half(), metric);
            FlatIndex wide(rows.floats(), metric);
            check_rows(half, rows);
            check_same(half, wide, 40, 50);
            half.update(more.half(ids.data()));
            wide.update(more.floats(ids.data()));
            half.append(more.half());
            wide.append(more.floats());
            check_same(half, wide, 40, 50);
            half.remove(ids.data(), 300);
            wide.remove(ids.data(), 300);
            check_same(half, wide, 40, 50);
            half.compact();
            const Snapshot whole = half.snapshot();
            check_same(FlatIndex(whole.parts()), wide, 40, 50);
            check_same(IVFIndex(rows.half(), metric), FlatIndex(rows.floats(), metric), 40, 50);
        }
    }
}

TEST_CASE("half rows: another type is refused") {
    const TwoRows rows(RowType::kFloat16, 9, 4, 1);
    const TwoRows others(RowType::kBFloat16, 9, 4, 1);
    FlatIndex index(rows.half(), Metric::kIp);
    std::int64_t ids[9];
    for (std::int64_t i = 0; i < 9; ++i) ids[i] = 100 + i;
    CHECK_THROWS_WITH(index.add(others.half(ids)),
                      "vectors: expected rows of float16, got bfloat16");
    CHECK_THROWS_WITH(index.update(rows.floats(ids)),
                      "vectors: expected rows of float16, got float32");
    CHECK_THROWS_AS(index.append(others.half()), std::invalid_argument);
    CHECK(index.size() == 9);
    index.add(rows.half(ids));
    CHECK(index.size() == 18);
}

TEST_CASE("half rows: files") {
    for (const RowType type : kHalves) {
        const TwoRows rows(type, 300, 5, 1);
        const test::Folder folder;
        const FlatIndex index(rows.half(), Metric::kL2);
        test::save(index, "l2", "0123456789ab", folder.path());
        for (const Access access : {Access::kMap, Access::kRead}) {
            const FlatIndex loaded = load_flat_index(folder.path(), access);
            CHECK(loaded.row_type() == type);
            check_same(loaded, FlatIndex(rows.floats(), Metric::kL2), 9, 50);
            check_rows(loaded, rows);
        }
        const std::string manifest = test::read_file(folder.path() / "manifest.json");
        const std::string name = test::row_types(type).name;
        const auto refused = [&](const std::string& other, const std::string& words) {
            std::string text = manifest;
            text.replace(text.find('"' + name + '"'), name.size() + 2, other);
            test::write_file(folder.path() / "manifest.json", text);
            std::string message;
            try {
                load_flat_index(folder.path());
            } catch (const std::invalid_argument& error) {
                message = error.what();
            }
            CHECK_MESSAGE(message.find(words) != std::string::npos, message);
        };
        const char* one_of = "path: expected one of \"float32\", \"float16\", \"bfloat16\", got ";
        refused("\"float8\"", std::string(one_of) + "\"float8\" in ");
        refused("null", std::string(one_of) + "null in ");
        refused("16", std::string(one_of) + "16 in ");
        refused("\"float32\"", "path: expected dtype <f4 for rows, got ");
        refused(type == RowType::kFloat16 ? "\"bfloat16\"" : "\"float16\"", " for rows, got \"<");
    }
}

TEST_CASE("half rows: rounding of float64 in one step") {
    // Above the middle of 1 and the next number, by less than float32 sees.
    const double values[] = {1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11 - 0x1p-40, -1 - 0x1p-11,
                             65519.9999999};
    std::uint16_t out[4];
    const RoundingLoss loss = round_rows(values, 1, 4, RowType::kFloat16, out);
    CHECK((out[0] == 0x3C01 && out[1] == 0x3C00 && out[2] == 0xBC00 && out[3] == 0x7BFF));
    CHECK(loss.overflow == -1);
    const double large[] = {1, 2, 3, 65520};
    CHECK(round_rows(large, 2, 2, RowType::kFloat16, out).overflow == 1);
    const double tiny[] = {0x1p-25 + 0x1p-60, 0x1p-25, -0x1p-1074, 0.0};
    round_rows(tiny, 1, 4, RowType::kFloat16, out);
    CHECK((out[0] == 1 && out[1] == 0 && out[2] == 0x8000 && out[3] == 0));
}

}  // namespace
