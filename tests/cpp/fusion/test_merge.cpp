#include "vecrecall/merge.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/hashing.hpp"
#include "fusion/entry_table.hpp"
#include "fusion/ranking.hpp"
#include "fusion/split.hpp"
#include "on_every_isa.hpp"

using namespace vecrecall;

namespace {

constexpr float kLow = -std::numeric_limits<float>::infinity();

TEST_CASE("merge: shards") {
    const std::int64_t a_ids[] = {4, 1, -1};
    const float a_scores[] = {3, 1, kLow};
    const std::int32_t a_counts[] = {2};
    const std::int64_t b_ids[] = {2, 9};
    const float b_scores[] = {3, 2};
    const std::int32_t b_counts[] = {2};
    std::vector<std::int64_t> ids(5);
    std::vector<float> scores(5);
    std::int32_t count = 0;
    merge_shards({{a_ids, a_scores, a_counts, 1, 3}, {b_ids, b_scores, b_counts, 1, 2}},
                 {ids.data(), scores.data(), &count, 1, 5});
    CHECK(count == 4);
    CHECK((ids == std::vector<std::int64_t>{2, 4, 9, 1, -1}));
    CHECK((scores == std::vector<float>{3, 3, 2, 1, kLow}));
    CHECK_THROWS_AS(
        merge_shards({{a_ids, a_scores, a_counts, 1, 3}, {a_ids, a_scores, a_counts, 1, 3}},
                     {ids.data(), scores.data(), &count, 1, 5}),
        std::invalid_argument);
}

TEST_CASE("merge: groups") {
    const std::int64_t ids[] = {7, 5, 5, 8, 6, -1};
    const float scores[] = {2, 1, 1.5F, 1, 4, kLow};
    const std::int32_t counts[] = {2, 2, 1};
    const std::int64_t offsets[] = {0, 2, 2, 3};
    std::vector<std::int64_t> out_ids(9);
    std::vector<float> out_scores(9);
    std::vector<std::int32_t> out_counts(3);
    std::vector<std::int32_t> n_rows(9);
    std::vector<std::int64_t> best_row(9);
    merge_groups({ids, scores, counts, 3, 2}, offsets, Join::kSum,
                 {{out_ids.data(), out_scores.data(), out_counts.data(), 3, 3},
                  n_rows.data(),
                  best_row.data()});
    CHECK((out_ids == std::vector<std::int64_t>{5, 7, 8, -1, -1, -1, 6, -1, -1}));
    CHECK((n_rows == std::vector<std::int32_t>{2, 1, 1, 0, 0, 0, 1, 0, 0}));
    CHECK((best_row == std::vector<std::int64_t>{1, 0, 1, -1, -1, -1, 2, -1, -1}));
    CHECK((out_counts == std::vector<std::int32_t>{3, 0, 1}));
    CHECK(out_scores[0] == 2.5F);
}

TEST_CASE("merge: the table of entries") {
    fusion::EntryTable table;
    for (const std::size_t n : {0U, 1U, 3U, 1000U, 7U}) {  // smaller again: nothing is left over
        fusion::Entries entries = table.start(n);
        for (std::size_t i = 0; i < n; ++i) {
            const auto id = static_cast<std::int64_t>(i << 40 | i % 7);
            CHECK(entries.insert(id).fresh);
            CHECK(!entries.insert(id).fresh);
            CHECK(entries.insert(id).entry == i);
        }
        CHECK(entries.size() == n);
        CHECK((n == 0 || entries.find(0) == 0));
        CHECK(entries.find(12345) == fusion::kNoEntry);
    }
}

// Ids of the same slot, the last one of the table: they go on at its beginning.
TEST_CASE("merge: ids that meet in the table") {
    constexpr std::size_t kMost = 64;
    constexpr std::size_t kSlots = 16 * kMost;  // at most
    std::vector<std::int64_t> same;
    for (std::int64_t id = 0; same.size() < kMost; ++id) {
        if (hash_id(id) >> 32 >= (std::uint64_t{1} << 32) - (std::uint64_t{1} << 32) / kSlots)
            same.push_back(id);
    }
    fusion::EntryTable table;
    for (int list = 0; list < 3; ++list) {  // a new table, a larger one, the same again
        fusion::Entries entries = table.start(kMost);
        for (std::uint32_t i = 0; i < kMost; ++i) CHECK(entries.insert(same[i]).entry == i);
        for (std::uint32_t i = 0; i < kMost; ++i) {
            CHECK(!entries.insert(same[i]).fresh);
            CHECK(entries.find(same[i]) == i);
        }
        CHECK(entries.size() == kMost);
    }
}

// Against a plain sort: few scores and many ties, one far away, infinities, all the same. For the
// instruction set in use.
void check_ranking() {
    std::mt19937 engine(1);
    fusion::Ranking ranking;
    for (const std::size_t n : {0U, 1U, 2U, 33U, 500U, 3000U}) {
        for (int kind = 0; kind < 4; ++kind) {
            std::vector<float> scores(n);
            std::vector<std::int64_t> ids(n);
            std::vector<std::uint32_t> order(n);
            for (std::size_t i = 0; i < n; ++i) {
                const auto draw = static_cast<float>(engine() % 1000) - 500;
                scores[i] = kind == 0 ? std::floor(draw / 100) + 0.0F : kind == 1 ? draw : 1.0F;
                if (kind == 2 && i == 0) scores[i] = 1e30F;
                if (kind == 1 && i % 50 == 0) scores[i] = i % 100 == 0 ? kLow : -kLow;
                ids[i] = static_cast<std::int64_t>(n - i);
                order[i] = static_cast<std::uint32_t>(i);
            }
            std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
                return scores[a] != scores[b] ? scores[a] > scores[b] : ids[a] < ids[b];
            });
            for (const std::size_t k : {std::size_t{1}, n / 3 + 1, n + 5}) {
                const auto best = ranking.best(scores.data(), n, k, ids.data());
                CHECK(best.size() == std::min(k, n));
                CHECK(std::equal(best.begin(), best.end(), order.begin()));
            }
        }
    }
}

std::vector<std::int64_t> split(std::int64_t total, std::vector<fusion::Portion> portions) {
    fusion::split(total, portions);
    std::vector<std::int64_t> slots;
    for (const fusion::Portion& portion : portions) slots.push_back(portion.slots);
    return slots;
}

TEST_CASE("merge: slots are split") {
    constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
    constexpr auto kHuge = std::uint64_t{1} << 62;
    using Slots = std::vector<std::int64_t>;
    // 4/3, 1/3, 1/3: in floating point the remainders would differ
    CHECK((split(2, {{4, 0, kAny, true, 0}, {1, 0, kAny, true, 0}, {1, 0, kAny, true, 0}}) ==
           Slots{2, 0, 0}));
    CHECK((split(10, {{8, 0, 5, true, 0}, {1, 3, kAny, true, 0}, {1, 3, kAny, true, 0}}) ==
           Slots{4, 3, 3}));
    CHECK((split(9, {{1, 0, 2, true, 0}, {1, 0, 3, true, 0}}) == Slots{2, 3}));
    CHECK((split(kAny, {{kHuge, 0, kAny, true, 0}, {kHuge, 0, kAny, true, 0}}) ==
           Slots{kAny / 2 + 1, kAny / 2}));
    CHECK((split(5, {{1, 0, 2, true, 0}, {0, 0, kAny, true, 0}}) == Slots{2, 0}));
}

// Two users, two channels, one of them ragged; arrays of exact size.
struct Case {
    std::vector<std::int64_t> padded_ids{1, 2, 3, 4, -1, 7, 7, 8};
    std::vector<float> padded_scores{4, 3, 2, 1, kLow, 1, 9, 0.5F};
    std::vector<std::int64_t> ragged_ids{3, 5, 1, 6};
    std::vector<float> ragged_scores{0.5F, 0.5F, -0.5F, -0.5F};
    std::vector<std::int64_t> offsets{0, 4, 4};
    std::vector<Channel> channels{{.name = "a",
                                   .ids = padded_ids.data(),
                                   .scores = padded_scores.data(),
                                   .rows = 2,
                                   .width = 4},
                                  {.name = "b",
                                   .ids = ragged_ids.data(),
                                   .scores = ragged_scores.data(),
                                   .rows = 2,
                                   .offsets = offsets.data()}};
    MergeFilters filters;
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<std::int32_t> counts, unfilled, ranks;
    std::vector<std::uint64_t> holders;
    std::vector<float> channel_scores;

    // The first user's list.
    std::vector<std::int64_t> run(const Policy& policy, std::size_t k, bool provenance = true) {
        ids.assign(2 * k, 0);
        scores.assign(2 * k, 0);
        counts.assign(2, 0);
        unfilled.assign(4, 7);
        holders.assign(2 * k, 7);
        ranks.assign(provenance ? 4 * k : 0, 7);
        channel_scores.assign(provenance ? 4 * k : 0, 7);
        merge(channels, policy, filters,
              {{ids.data(), scores.data(), counts.data(), 2, k},
               holders.data(),
               unfilled.data(),
               provenance ? ranks.data() : nullptr,
               provenance ? channel_scores.data() : nullptr},
              2);
        return {ids.begin(), ids.begin() + counts[0]};
    }
};

TEST_CASE("merge: policies") {
    using Ids = std::vector<std::int64_t>;
    const std::vector<double> equal{1, 1};
    const std::int64_t any = std::numeric_limits<std::int64_t>::max();
    Case c;
    CHECK((c.run(Rrf{equal}, 6) == Ids{1, 3, 2, 5, 4, 6}));
    CHECK((c.ids[6] == 7 && c.ids[7] == 8 && c.ids[8] == -1));
    CHECK((c.run(WeightedSum{equal, Normalize::kMinMax}, 9, false) == Ids{3, 1, 5, 2, 4, 6}));
    CHECK((c.run(WeightedSum{equal, Normalize::kZScore}, 2) == Ids{5, 3}));
    CHECK((c.run(Maximum{equal, Normalize::kMax}, 3) == Ids{1, 3, 5}));
    CHECK((c.run(Maximum{equal, Normalize::kL2}, 1) == Ids{1}));
    CHECK((c.run(Interleave{{1, 1}, true}, 6) == Ids{1, 3, 2, 5, 4, 6}));
    CHECK((c.run(Interleave{{2, 1}, false}, 4) == Ids{1, 2, 3, 4}));
    CHECK((c.run(Priority{{2, 9}, false, true}, 6) == Ids{1, 2, 3, 5, 6, 4}));
    CHECK(c.unfilled[1] == 1);
    CHECK((c.run(Quota{{1, 1}, {0, 0}, {any, any}}, 6) == Ids{1, 2, 5, 3, 4, 6}));
    CHECK_THROWS_AS(c.run(Quota{{1, 1}, {4, 3}, {any, any}}, 6), std::invalid_argument);
    CHECK_THROWS_AS(c.run(Rrf{{1}}, 6), std::invalid_argument);
    c.padded_ids[5] = -5;
    CHECK_THROWS_AS(c.run(Rrf{equal}, 6), std::invalid_argument);
}

TEST_CASE("merge: provenance and filters") {
    Case c;
    c.run(Rrf{{1, 1}}, 3);
    CHECK((std::vector(c.ranks.begin(), c.ranks.begin() + 6) ==
           std::vector<std::int32_t>{1, 3, 3, 1, 2, 0}));
    CHECK((std::vector(c.channel_scores.begin(), c.channel_scores.begin() + 5) ==
           std::vector<float>{4, -0.5F, 2, 0.5F, 3}));
    CHECK(std::isnan(c.channel_scores[5]));
    CHECK((std::vector(c.holders.begin(), c.holders.begin() + 3) ==
           std::vector<std::uint64_t>{3, 3, 1}));
    const std::vector<std::int64_t> seen{3, 99, -1};
    const std::vector<std::int64_t> seen_offsets{0, 3, 3};
    c.filters.exclude = {seen.data(), seen_offsets.data(), 2};
    CHECK((c.run(Interleave{{1, 1}, true}, 6) == std::vector<std::int64_t>{1, 5, 2, 6, 4}));
    CHECK((c.run(Rrf{{1, 1}}, 6) == std::vector<std::int64_t>{1, 2, 5, 4, 6}));
    const std::vector<std::int64_t> capped{1, 2, 5};
    const std::vector<std::int64_t> groups{-3, 8, -3};
    const Caps caps(capped.data(), groups.data(), 3, 1);
    c.filters.caps = {&caps};
    CHECK((c.run(Rrf{{1, 1}}, 6) == std::vector<std::int64_t>{1, 2, 4, 6}));
    std::vector<std::int64_t> members(caps.size());
    std::vector<std::int64_t> numbers(caps.size());
    caps.members(members.data(), numbers.data());
    CHECK(members == capped);
    const Caps again(members.data(), numbers.data(), members.size(), 1);
    c.filters.caps = {&again};
    CHECK((c.run(Rrf{{1, 1}}, 6) == std::vector<std::int64_t>{1, 2, 4, 6}));
    CHECK_THROWS_AS(Caps(groups.data(), groups.data(), 3, 1), std::invalid_argument);
}

// Lists of all lengths around those of a cache line, shorter and longer than the next one; arrays
// of exact size. Every id is there twice, so that its sum says whether it was found.
TEST_CASE("merge: lists of every length") {
    constexpr std::size_t kRows = 40;
    constexpr std::size_t kWidth = 2 * kRows;
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int64_t> ids;
    for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t n = r * 17 % kRows;
        for (std::size_t i = 0; i < n; ++i) {
            ids.push_back(static_cast<std::int64_t>((i * 7919 + r) << 20));
        }
        offsets.push_back(static_cast<std::int64_t>(ids.size()));
    }
    const std::vector<float> ones(ids.size(), 1);
    const Channel channel{.name = "a",
                          .ids = ids.data(),
                          .scores = ones.data(),
                          .rows = kRows,
                          .offsets = offsets.data()};
    std::vector<std::int64_t> out_ids(kRows * kWidth);
    std::vector<float> scores(kRows * kWidth);
    std::vector<std::int32_t> counts(kRows);
    std::vector<std::int32_t> unfilled(2 * kRows);
    std::vector<std::uint64_t> holders(kRows * kWidth);
    merge({channel, channel}, WeightedSum{{1, 2}}, {},
          {{out_ids.data(), scores.data(), counts.data(), kRows, kWidth},
           holders.data(),
           unfilled.data(),
           nullptr,
           nullptr},
          1);
    for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t begin = static_cast<std::size_t>(offsets[r]);
        const std::size_t n = channel.length(r);
        std::vector<std::int64_t> expected(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                           ids.begin() + static_cast<std::ptrdiff_t>(begin + n));
        std::sort(expected.begin(), expected.end());
        CHECK(counts[r] == static_cast<std::int32_t>(n));
        CHECK(std::equal(expected.begin(), expected.end(), out_ids.data() + r * kWidth));
        for (std::size_t i = 0; i < n; ++i) CHECK(scores[r * kWidth + i] == 3);
    }
}

TEST_CASE("merge: ranking") { test::on_every_isa(check_ranking); }

}  // namespace
