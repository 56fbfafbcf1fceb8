#include "vecrecall/merge.hpp"

#include <limits>
#include <stdexcept>

#include "check.hpp"

using namespace vecrecall;

namespace {

constexpr float kLow = -std::numeric_limits<float>::infinity();

void check_shards() {
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
    CHECK_THROWS(
        merge_shards({{a_ids, a_scores, a_counts, 1, 3}, {a_ids, a_scores, a_counts, 1, 3}},
                     {ids.data(), scores.data(), &count, 1, 5}),
        std::invalid_argument);
}

void check_groups() {
    const std::int64_t ids[] = {7, 5, 5, 8, 6, -1};
    const float scores[] = {2, 1, 1.5F, 1, 4, kLow};
    const std::int32_t counts[] = {2, 2, 1};
    const std::int64_t offsets[] = {0, 2, 2, 3};
    std::vector<std::int64_t> out_ids(9);
    std::vector<float> out_scores(9);
    std::vector<std::int32_t> out_counts(3);
    std::vector<std::int32_t> hits(9);
    std::vector<std::int64_t> winner(9);
    merge_groups(
        {ids, scores, counts, 3, 2}, offsets, Join::kSum,
        {{out_ids.data(), out_scores.data(), out_counts.data(), 3, 3}, hits.data(), winner.data()});
    CHECK((out_ids == std::vector<std::int64_t>{5, 7, 8, -1, -1, -1, 6, -1, -1}));
    CHECK((hits == std::vector<std::int32_t>{2, 1, 1, 0, 0, 0, 1, 0, 0}));
    CHECK((winner == std::vector<std::int64_t>{1, 0, 1, -1, -1, -1, 2, -1, -1}));
    CHECK((out_counts == std::vector<std::int32_t>{3, 0, 1}));
    CHECK(out_scores[0] == 2.5F);
}

}  // namespace

int main() {
    check_shards();
    check_groups();
    return test::report("merge");
}
