// The int8 scan of every table that takes codes up to 127, held against sums written out.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "emulated_amx.hpp"
#include "guarded.hpp"
#include "kernels/tiles.hpp"
#include "tiled_tables.hpp"

using namespace vecrecall::kernels;

namespace {

enum class Kind { kSums, kShifted, kOffsets };

constexpr Kind kKinds[] = {Kind::kSums, Kind::kShifted, Kind::kOffsets};

struct Shape {
    std::size_t dim;
    std::size_t n_queries;
    std::size_t n_panels;
    std::size_t n_absent = 0;  // panels of the last word that have no items
};

// Codes that end where the readable memory does, queries, thresholds that some items reach.
struct Problem {
    Shape shape;
    Kind kind;
    std::size_t n_quads;
    test::GuardedBytes codes;
    std::vector<std::int8_t> queries;  // [query][4 * n_quads], zeros behind dim
    std::vector<std::int64_t> sums;    // [query][item] of g * c, c the code less 128
    std::vector<float> scales;
    std::vector<float> offsets;
    std::vector<float> thresholds;
    std::vector<std::int32_t> int_thresholds;
    std::vector<std::uint64_t> live;
    std::vector<const std::uint64_t*> live_of;

    std::size_t n_items() const { return shape.n_panels * kPanelItems; }

    Problem(const Shape& s, Kind k, std::mt19937& random, bool extreme)
        : shape(s), kind(k), n_quads((s.dim + 3) / 4), codes(s.n_panels * n_quads * 64) {
        const std::size_t n = n_items();
        const auto code = [&] {
            return static_cast<unsigned char>(extreme ? (random() % 8 == 0 ? 0 : 255)
                                                      : random() % 256);
        };
        std::generate_n(codes.data(), n * n_quads * 4, code);
        queries.assign(s.n_queries * n_quads * 4, 0);
        for (std::size_t q = 0; q < s.n_queries; ++q) {
            for (std::size_t j = 0; j < s.dim; ++j) {
                const int g =
                    extreme ? (q % 2 == 0 ? 127 : -127) : static_cast<int>(random() % 255) - 127;
                queries[q * n_quads * 4 + j] = static_cast<std::int8_t>(g);
            }
        }
        add_up();
        choose_thresholds(random);
        choose_live(random);
    }

    // Item i of a panel: quad by quad, items side by side.
    int code_at(std::size_t item, std::size_t j) const {
        const std::size_t panel = item / 16;
        return codes.data()[((panel * n_quads + j / 4) * 16 + item % 16) * 4 + j % 4] - 128;
    }
    void add_up() {
        sums.assign(shape.n_queries * n_items(), 0);
        std::vector<int> row(shape.dim);
        for (std::size_t i = 0; i < n_items(); ++i) {
            for (std::size_t j = 0; j < shape.dim; ++j) row[j] = code_at(i, j);
            for (std::size_t q = 0; q < shape.n_queries; ++q) {
                std::int64_t sum = 0;
                for (std::size_t j = 0; j < shape.dim; ++j) {
                    sum += queries[q * n_quads * 4 + j] * row[j];
                }
                sums[q * n_items() + i] = sum;
            }
        }
    }
    // Scales are powers of two: products are exact, and the value is rounded once on every table.
    float value(std::size_t q, std::size_t i) const {
        return scales[q] * static_cast<float>(sums[q * n_items() + i]) + offsets[i];
    }
    // One item's own value for the most; else nothing is reached, or all is.
    void choose_thresholds(std::mt19937& random) {
        for (std::size_t q = 0; q < shape.n_queries; ++q)
            scales.push_back(q % 2 == 0 ? 0.5F : 2.0F);
        for (std::size_t i = 0; i < n_items(); ++i) {
            offsets.push_back(static_cast<float>(random() % 2048) - 1024.0F);
        }
        for (std::size_t q = 0; q < shape.n_queries; ++q) {
            const std::size_t i = random() % n_items();
            const auto at = static_cast<std::int32_t>(sums[q * n_items() + i]);
            std::int32_t chosen = at + static_cast<std::int32_t>(random() % 3) - 1;
            if (q % 7 == 5) chosen = 1 << 30;
            if (q % 7 == 6) chosen = -(1 << 30);
            int_thresholds.push_back(chosen);
            float least = value(q, i);
            if (q % 7 == 5) least = 3e38F;
            if (q % 7 == 6) least = -3e38F;
            thresholds.push_back(least);
        }
    }
    // Masks of their own, that of the first query empty, that of the second whole.
    void choose_live(std::mt19937& random) {
        const std::size_t words = n_items() / kWordItems;
        for (std::size_t q = 0; q < shape.n_queries; ++q) {
            for (std::size_t w = 0; w < words; ++w) {
                std::uint64_t bits = (std::uint64_t{random()} << 32) | random();
                if (q % 3 == 0) bits &= (std::uint64_t{random()} << 32) | random();
                live.push_back(q == 0 ? 0 : q == 1 ? ~std::uint64_t{0} : bits);
            }
            live.back() &= ~std::uint64_t{0} >> (shape.n_absent * kPanelItems);
        }
        for (std::size_t q = 0; q < shape.n_queries; ++q)
            live_of.push_back(live.data() + q * words);
    }

    std::vector<Hit> expected(std::size_t q, std::uint32_t first_row) const {
        std::vector<Hit> hits;
        for (std::size_t i = 0; i < n_items(); ++i) {
            if ((live_of[q][i / 64] >> (i % 64) & 1) == 0) continue;
            const auto sum = static_cast<std::int32_t>(sums[q * n_items() + i]);
            const float v = value(q, i);
            const bool reached =
                kind == Kind::kOffsets ? !(v < thresholds[q]) : sum >= int_thresholds[q];
            if (!reached) continue;
            Hit hit{first_row + static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(sum)};
            if (kind == Kind::kOffsets) std::memcpy(&hit.raw, &v, 4);
            hits.push_back(hit);
        }
        return hits;
    }
};

// The queries as a table wants them.
std::vector<std::int8_t> laid_out(const Problem& p, const KernelTable& table, std::size_t n_tiled) {
    const std::size_t rest = p.shape.n_queries - n_tiled;
    const std::size_t tiles = n_tiled * table.i8_tiles.width(p.n_quads);
    std::vector<std::int8_t> out(tiles + rest * p.n_quads * 4);
    for (std::size_t q = 0; q < p.shape.n_queries; ++q) {
        const bool tiled = q < n_tiled;
        const RowPlace place = tiled ? table.i8_tiles.place(q, n_tiled, p.n_quads)
                                     : table.i8_blocks.place(q - n_tiled, rest, p.n_quads);
        for (std::size_t j = 0; j < p.n_quads * 4; ++j) {
            out[(tiled ? 0 : tiles) + place.at(j)] = p.queries[q * p.n_quads * 4 + j];
        }
    }
    return out;
}

bool same(const Hit* found, std::size_t n, const std::vector<Hit>& expected) {
    return n == expected.size() &&
           std::equal(expected.begin(), expected.end(), found,
                      [](Hit a, Hit b) { return a.row == b.row && a.raw == b.raw; });
}

void check_scan(const Problem& p, const KernelTable& table, bool few) {
    CAPTURE(std::string(table.name));
    CAPTURE(p.shape.dim);
    CAPTURE(p.shape.n_queries);
    CAPTURE(p.shape.n_panels);
    CAPTURE(p.shape.n_absent);
    CAPTURE(few);
    const std::size_t n = p.shape.n_queries;
    const std::size_t n_tiled = few || table.i8_tiles.rows == 0 ? 0 : n - n % table.i8_tiles.rows;
    const std::vector<std::int8_t> queries = few ? p.queries : laid_out(p, table, n_tiled);
    std::vector<std::int32_t> starts(n);
    for (std::size_t q = 0; q < n; ++q) {
        std::int32_t sum = 0;
        for (std::size_t j = 0; j < p.shape.dim; ++j) sum += p.queries[q * p.n_quads * 4 + j];
        starts[q] = -table.i8_code_offset * sum;
        if (p.kind == Kind::kShifted) starts[q] -= p.int_thresholds[q];
    }
    const std::size_t room = p.n_items() + 3;
    std::vector<Hit> hits(n * room);
    std::vector<HitList> lists;
    for (std::size_t q = 0; q < n; ++q)
        lists.push_back({hits.data() + q * room, q % 3 == 2 ? 3U : 0U});
    const ScanI8 scan{.codes = p.codes.data(),
                      .n_panels = p.shape.n_panels - (n_tiled > 0 ? 0 : p.shape.n_absent),
                      .after = p.codes.data(),
                      .n_quads = p.n_quads,
                      .queries = queries.data(),
                      .n_queries = n,
                      .n_tiled = n_tiled,
                      .starts = starts.data(),
                      .scales = p.kind == Kind::kOffsets ? p.scales.data() : nullptr,
                      .shifted = p.kind == Kind::kShifted,
                      .threshold_filter = {.offsets = p.offsets.data(),
                                           .thresholds = p.thresholds.data(),
                                           .int_thresholds = p.int_thresholds.data(),
                                           .live = p.live_of.data(),
                                           .first_row = 4096,
                                           .hits = lists.data()}};
    if (few) table.scan_i8_few(scan);
    else table.scan_i8(scan);
    std::size_t right = 0;
    for (std::size_t q = 0; q < n; ++q) {
        const std::size_t before = q % 3 == 2 ? 3 : 0;
        if (same(hits.data() + q * room + before, lists[q].count - before, p.expected(q, 4096)))
            ++right;
    }
    CHECK(right == n);
}

void check_scan_of_all(const Shape& shape, Kind kind, std::mt19937& random, bool extreme = false) {
    const Problem problem(shape, kind, random, extreme);
    for (const KernelTable* table : test::int8_tables()) {
        check_scan(problem, *table, false);
        if (kind != Kind::kShifted) check_scan(problem, *table, true);
    }
}

std::size_t n_panels_of(std::mt19937& random) { return 4 * (1 + random() % 10); }

}  // namespace

TEST_CASE("scan_i8: every width") {
    std::mt19937 random(1);
    for (std::size_t dim = 1; dim <= 200; ++dim) {
        const Shape shape{dim, 1 + random() % 70, n_panels_of(random), random() % 4};
        for (const Kind kind : kKinds) check_scan_of_all(shape, kind, random);
    }
}

TEST_CASE("scan_i8: every number of queries") {
    std::mt19937 random(2);
    for (std::size_t n = 1; n <= 70; ++n) {
        const Shape shape{1 + random() % 140, n, n_panels_of(random), random() % 4};
        for (const Kind kind : kKinds) check_scan_of_all(shape, kind, random);
    }
    // More than have their starts at hand at a time, with others behind them.
    for (const std::size_t n : {255, 256, 257, 272, 300, 529}) {
        for (const Kind kind : kKinds) check_scan_of_all({36, n, 4}, kind, random);
    }
}

TEST_CASE("scan_i8: sums near the ends of 32 bits") {
    std::mt19937 random(3);
    // Of 65,536 products of 127 and 255, as sums with an offset of 128 come to on the way.
    check_scan_of_all({65536, 17, 4}, Kind::kSums, random, true);
    check_scan_of_all({16384, 33, 4}, Kind::kShifted, random, true);
    check_scan_of_all({64, 40, 8}, Kind::kShifted, random, true);
    check_scan_of_all({65536, 16, 4}, Kind::kOffsets, random, true);
}

#if defined(VECRECALL_HAS_AMX)

TEST_CASE("amx: runs here") {
    if (!test::execute_amx()) {
        MESSAGE("skipped: neither AMX nor what emulates it, which needs AVX-512 VNNI");
        return;
    }
    const std::uint64_t before = test::emulated_amx_instructions();
    std::mt19937 random(4);
    const Problem problem({64, 32, 4}, Kind::kSums, random, false);
    check_scan(problem, kAmx, false);
    if (!test::amx_is_emulated()) return;
    // Shapes and the release; 6 and 7 with two panels, twice; and for each of these two tiles of
    // queries: four starts, two loads, four products, four stores.
    CHECK(test::emulated_amx_instructions() - before == 2 + 2 * (2 + 14));
}

// A library in this thread may have left tiles of other shapes.
TEST_CASE("amx: tiles shaped by others") {
    if (!test::execute_amx()) {
        MESSAGE("skipped: neither AMX nor what emulates it, which needs AVX-512 VNNI");
        return;
    }
    TileShapes small{};
    small.palette = 1;
    for (std::size_t t = 0; t < 8; ++t) {
        small.rows[t] = 3;
        small.row_bytes[t] = 8;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(small));
    std::mt19937 random(5);
    for (const Kind kind : kKinds) {
        const Problem problem({100, 50, 8}, kind, random, false);
        check_scan(problem, kAmx, false);
        TileShapes left;
        std::memset(&left, 0xFF, sizeof(left));
        __asm__ volatile("sttilecfg %0" : "=m"(left));
        const TileShapes released{};
        CHECK(std::memcmp(&left, &released, sizeof(left)) == 0);
    }
}

#endif
