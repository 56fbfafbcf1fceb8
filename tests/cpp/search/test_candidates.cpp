// Candidates of another engine, in buffers of exact size, as lists of ours.
#include "vecrecall/candidates.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "expected.hpp"

using namespace vecrecall;
using test::Answer;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("candidates: best first") {
    const std::vector<std::int64_t> ids{7, -1, 4, 9, 3, 2, 5, 10, -3, 8, 11, 6};
    const std::vector<float> scores{1, 9, kNan, 1, 2, kInf, kNan, -1, 9, -0.0F, 3, 0};
    Answer answer(2, 4);
    rank_candidates({ids.data(), scores.data(), 6}, {}, answer.out, 2);
    CHECK((answer.ids == std::vector<std::int64_t>{2, 3, 7, 9, 11, 6, 8, 10}));
    CHECK((answer.scores == std::vector<float>{kInf, 2, 1, 1, 3, 0, 0, -1}));
    CHECK((answer.counts == std::vector<std::int32_t>{4, 4}));
}

TEST_CASE("candidates: items that lists may not hold") {
    const std::vector<std::int64_t> ids{1, 2, 3, 4, 1, 2, 3, 4};
    const std::vector<float> scores{4, 3, 2, 1, 1, 2, 3, 4};
    const std::vector<std::int64_t> excluded_ids{1, 4};
    const std::vector<std::int64_t> offsets{0, 1, 2};
    const std::vector<std::int64_t> set{1, 2, 3};
    CandidateFilters filters;
    filters.exclude = {excluded_ids.data(), offsets.data(), 2};
    filters.allow = {{set.data(), set.size(), false}};
    Answer one(2, 2);
    rank_candidates({ids.data(), scores.data(), 4}, filters, one.out, 1);
    CHECK((one.ids == std::vector<std::int64_t>{2, 3, 3, 2}));
    filters.allow.push_back({set.data(), 2, true});
    Answer each(2, 2);
    rank_candidates({ids.data(), scores.data(), 4}, filters, each.out, 1);
    CHECK((each.ids == std::vector<std::int64_t>{2, 3, 3, -1}));
    CHECK((each.counts == std::vector<std::int32_t>{2, 1}));
    CHECK((IdFilter{nullptr, 0, true}.admits(5)));
    CHECK((!IdFilter{nullptr, 0, false}.admits(5)));
}

TEST_CASE("candidates: nothing to rank") {
    Answer none(0, 3);
    rank_candidates({nullptr, nullptr, 5}, {}, none.out);
    Answer empty(2, 1);
    rank_candidates({nullptr, nullptr, 0}, {}, empty.out);
    CHECK((empty.ids == std::vector<std::int64_t>{-1, -1}));
    CHECK((empty.scores == std::vector<float>{-kInf, -kInf}));
}

TEST_CASE("candidates: threads do not show") {
    constexpr std::size_t kRows = 300;
    constexpr std::size_t kCandidates = 70;
    std::mt19937 engine(3);
    std::vector<std::int64_t> ids(kRows * kCandidates);
    std::vector<float> scores(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<std::int64_t>(i % kCandidates) - 1;
        scores[i] = static_cast<float>(engine() % 9);
    }
    Answer alone(kRows, 30);
    rank_candidates({ids.data(), scores.data(), kCandidates}, {}, alone.out, 1);
    for (const int threads : {2, 5}) {
        Answer together(kRows, 30);
        rank_candidates({ids.data(), scores.data(), kCandidates}, {}, together.out, threads);
        CHECK(together.ids == alone.ids);
        CHECK(together.scores == alone.scores);
        CHECK(together.counts == alone.counts);
    }
}

}  // namespace
