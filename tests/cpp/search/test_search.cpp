// Top-K against sums written out one term at a time, on every instruction set, in buffers of exact
// size.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "on_every_isa.hpp"
#include "vecrecall/flat_index.hpp"

using namespace vecrecall;
using test::Answer;
using test::bits;
using test::expected_list;

namespace {

void check_case(std::size_t n, std::size_t d, std::size_t queries, std::size_t k, Metric metric) {
    const auto x = test::gaussian(n * d, 1);
    const auto q = test::gaussian(queries * d, 2);
    for (const auto& [copy, codes] : {std::pair{false, true}, {true, true}, {false, false}}) {
        const FlatIndex index({.rows = {x.get(), n, d}}, metric, {.copy = copy, .codes = codes});
        Answer answer(queries, k);
        index.search({q.get(), queries, d}, {.k = k, .threads = 2}, answer.out);
        for (std::size_t i = 0; i < queries; ++i) {
            const auto wanted = expected_list(metric, q.get() + i * d, {{x.get(), n, d}});
            CHECK(answer.counts[i] == static_cast<std::int32_t>(std::min(k, n)));
            for (std::size_t j = 0; j < std::min(k, n); ++j) {
                CHECK(answer.ids[i * k + j] == wanted[j].id);
                CHECK(bits(answer.scores[i * k + j]) == bits(wanted[j].score));
            }
            for (std::size_t j = n; j < k; ++j) {
                CHECK(answer.ids[i * k + j] == -1);
                CHECK(answer.scores[i * k + j] == -std::numeric_limits<float>::infinity());
            }
        }
    }
}

void check_sizes(Metric metric) {
    for (const std::size_t d : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 50, 64, 70}) {
        check_case(67, d, 3, 10, metric);
        check_case(65, d, 8, 70, metric);
    }
    for (const std::size_t n : {1, 15, 16, 17, 63, 64, 127, 2047, 2048, 2049, 4100}) {
        check_case(n, 5, 13, 7, metric);
        check_case(n, 20, 1, 3, metric);
    }
}

void check_allow() {
    constexpr std::size_t kN = 200;
    const auto x = test::gaussian(kN * 4, 3);
    const auto q = test::gaussian(4, 4);
    const FlatIndex index({.rows = {x.get(), kN, 4}}, Metric::kIp, {.copy = false});
    const std::int64_t ids[] = {3, 64, 199, 7777};
    const IdMask some(ids, 4);
    const IdMask others(ids, 4, true);
    Answer answer(1, kN);
    const IdMask* allowed = &some;
    index.search({q.get(), 1, 4}, {.k = kN, .allow = &allowed}, answer.out);
    CHECK(answer.counts[0] == 3);
    for (int i = 0; i < 3; ++i) {
        CHECK((answer.ids[i] == 3 || answer.ids[i] == 64 || answer.ids[i] == 199));
    }
    allowed = &others;
    index.search({q.get(), 1, 4}, {.k = kN, .allow = &allowed}, answer.out);
    CHECK(answer.counts[0] == kN - 3);
    for (std::size_t i = 0; i < kN - 3; ++i) {
        CHECK((answer.ids[i] != 3 && answer.ids[i] != 64 && answer.ids[i] != 199));
    }
}

// Rows at the ends of words and blocks are excluded, and the best of what is left: by codes and in
// float32, few queries and a batch.
void check_exclude(std::size_t n, std::size_t d, std::size_t queries, Metric metric) {
    constexpr std::size_t kLength = 7;
    const auto x = test::gaussian(n * d, 1);
    const auto q = test::gaussian(queries * d, 2);
    std::vector<std::vector<test::Ranked>> wanted;
    std::vector<std::int64_t> seen;
    std::vector<std::int64_t> seen_offsets{0};
    for (std::size_t i = 0; i < queries; ++i) {
        wanted.push_back(expected_list(metric, q.get() + i * d, {{x.get(), n, d}}));
        const std::vector<std::int64_t> rows{wanted[i][0].id,
                                             wanted[i][4].id,
                                             0,
                                             63,
                                             64,
                                             2047,
                                             2048,
                                             2111,
                                             4095,
                                             4096,
                                             static_cast<std::int64_t>(n) - 1,
                                             static_cast<std::int64_t>(n),
                                             0,
                                             -1};
        seen.insert(seen.end(), rows.begin(),
                    rows.begin() + static_cast<std::ptrdiff_t>(14 - i % 4));
        seen_offsets.push_back(static_cast<std::int64_t>(seen.size()));
        std::erase_if(wanted[i], [&](const test::Ranked& r) {
            return std::find(seen.begin() + seen_offsets[i], seen.end(), r.id) != seen.end();
        });
    }
    for (const bool codes : {true, false}) {
        const FlatIndex index({.rows = {x.get(), n, d}}, metric, {.codes = codes});
        Answer answer(queries, kLength);
        index.search(
            {q.get(), queries, d},
            {.k = kLength, .exclude = {seen.data(), seen_offsets.data(), queries}, .threads = 2},
            answer.out);
        for (std::size_t i = 0; i < queries; ++i) {
            CHECK(answer.counts[i] == kLength);
            CHECK(test::n_as_expected(answer.ids.data() + i * kLength,
                                      answer.scores.data() + i * kLength, wanted[i],
                                      kLength) == kLength);
        }
    }
}

void check_exclude_sizes() {
    for (const std::size_t n : {127, 2047, 2048, 2049, 4100, 4160}) {
        for (const Metric metric : {Metric::kIp, Metric::kCosine, Metric::kL2}) {
            check_exclude(n, 5, 13, metric);
            check_exclude(n, 20, 1, metric);
        }
    }
}

// All that reaches a score that an item has, with and without a limit, and items that may not.
void check_above(std::size_t n, std::size_t d, std::size_t queries, Metric metric) {
    const auto x = test::gaussian(n * d, 1);
    const auto q = test::gaussian(queries * d, 2);
    std::vector<std::vector<test::Ranked>> wanted;
    std::vector<double> floors;
    std::vector<std::int64_t> seen;
    std::vector<std::int64_t> seen_offsets{0};
    for (std::size_t i = 0; i < queries; ++i) {
        wanted.push_back(expected_list(metric, q.get() + i * d, {{x.get(), n, d}}));
        floors.push_back(wanted[i][i * 7 % n].score);
        seen.push_back(wanted[i][0].id);
        seen_offsets.push_back(static_cast<std::int64_t>(seen.size()));
        wanted[i].erase(wanted[i].begin());
        std::erase_if(wanted[i], [&](const test::Ranked& r) { return r.score < floors[i]; });
    }
    for (const bool codes : {true, false}) {
        const FlatIndex index({.rows = {x.get(), n, d}}, metric, {.codes = codes});
        for (const std::size_t limit : {std::size_t{1}, std::size_t{5}, ~std::size_t{0}}) {
            const RaggedLists found = index.search_above(
                {q.get(), queries, d}, {.min_scores = floors.data(),
                                        .limit = limit,
                                        .exclude = {seen.data(), seen_offsets.data(), queries},
                                        .threads = 2});
            CHECK(found.offsets.size() == queries + 1);
            CHECK(found.ids.size() == static_cast<std::size_t>(found.offsets.back()));
            CHECK(found.scores.size() == found.ids.size());
            for (std::size_t i = 0; i < queries; ++i) {
                const auto first = static_cast<std::size_t>(found.offsets[i]);
                const std::size_t length = std::min(limit, wanted[i].size());
                CHECK(static_cast<std::size_t>(found.offsets[i + 1]) == first + length);
                CHECK(test::n_as_expected(found.ids.data() + first, found.scores.data() + first,
                                          wanted[i], length) == length);
            }
        }
    }
}

void check_above_sizes(Metric metric) {
    for (const std::size_t n : {1, 64, 65, 2047, 2048, 2049, 4100}) {
        check_above(n, 5, 13, metric);
        check_above(n, 20, 1, metric);
    }
    check_above(5000, 3, 600, metric);
}

// So many rows that a batch guesses its thresholds. The good ones lie in the first blocks that it
// visits (steps of the golden section), two each: the guess is too high, and must be found out.
// One query alone is searched without guesses.
TEST_CASE("search: thresholds that are guessed too high") {
    constexpr std::size_t kBlocks = 144;
    constexpr std::size_t kRows = kBlocks * 2048;
    constexpr std::size_t kDim = 4;
    constexpr std::size_t kQueries = 8;
    constexpr std::size_t kLength = 100;
    auto x = test::gaussian(kRows * kDim, 5);
    for (std::size_t visit = 0; visit < kBlocks / 4; ++visit) {
        float* block = x.get() + visit * 89 % kBlocks * 2048 * kDim;
        for (std::size_t j = 0; j < kDim; ++j) {
            block[j] += 20;
            block[700 * kDim + j] += 20;
        }
    }
    auto q = test::gaussian(kQueries * kDim, 6);
    for (std::size_t i = 0; i < kQueries * kDim; ++i) q[i] = std::fabs(q[i]) + 1;
    const FlatIndex index({.rows = {x.get(), kRows, kDim}}, Metric::kIp, {.copy = false});
    Answer alone(kQueries, kLength);
    for (std::size_t i = 0; i < kQueries; ++i) {
        const ListsOut out{alone.ids.data() + i * kLength, alone.scores.data() + i * kLength,
                           alone.counts.data() + i, 1, kLength};
        index.search({q.get() + i * kDim, 1, kDim}, {.k = kLength}, out);
    }
    for (const int threads : {1, 3}) {
        Answer batch(kQueries, kLength);
        const SearchStats stats =
            index.search({q.get(), kQueries, kDim}, {.k = kLength, .threads = threads}, batch.out);
        CHECK(batch.ids == alone.ids);
        CHECK(batch.scores == alone.scores);
        CHECK(batch.counts == alone.counts);
        if (threads == 1) CHECK(stats.items_scanned > kQueries * kRows);
    }
}

TEST_CASE("search: bad ids") {
    const float x[] = {1, 2, 3};
    const std::int64_t repeated[] = {5, 4, 5};
    const std::int64_t negative[] = {5, -4, 6};
    CHECK_THROWS_AS(FlatIndex({.rows = {x, 3, 1}, .ids = repeated}, Metric::kIp),
                    std::invalid_argument);
    CHECK_THROWS_AS(FlatIndex({.rows = {x, 3, 1}, .ids = negative}, Metric::kIp),
                    std::invalid_argument);
}

TEST_CASE("search: lists of all sizes by inner product") {
    test::on_every_isa([] { check_sizes(Metric::kIp); });
}

TEST_CASE("search: lists of all sizes by cosine") {
    test::on_every_isa([] { check_sizes(Metric::kCosine); });
}

TEST_CASE("search: lists of all sizes by distance") {
    test::on_every_isa([] { check_sizes(Metric::kL2); });
}

TEST_CASE("search: allowed items") { test::on_every_isa(check_allow); }

TEST_CASE("search: excluded items") { test::on_every_isa(check_exclude_sizes); }

TEST_CASE("search: all items above a score by inner product") {
    test::on_every_isa([] { check_above_sizes(Metric::kIp); });
}

TEST_CASE("search: all items above a score by cosine") {
    test::on_every_isa([] { check_above_sizes(Metric::kCosine); });
}

TEST_CASE("search: all items above a score by distance") {
    test::on_every_isa([] { check_above_sizes(Metric::kL2); });
}

}  // namespace
