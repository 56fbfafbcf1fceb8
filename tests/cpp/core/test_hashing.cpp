// Sets of ids against std::set: where buckets run over, where ids repeat, where none are valid.
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "core/hashing.hpp"

using vecrecall::hash_id;
using vecrecall::IdSet;

namespace {

// Ids whose hashes begin with the same bits as that of `first`: of one bucket in any small set.
std::vector<std::int64_t> neighbors_of(std::int64_t first, std::size_t n) {
    constexpr int kBits = 12;
    std::vector<std::int64_t> ids;
    for (std::int64_t id = first; ids.size() < n; ++id) {
        if (hash_id(id) >> (64 - kBits) == hash_id(first) >> (64 - kBits)) ids.push_back(id);
    }
    return ids;
}

void check_set(const std::vector<std::int64_t>& ids, const std::vector<std::int64_t>& others) {
    const IdSet set(ids.data(), ids.data() + ids.size());
    std::set<std::int64_t> wanted;
    for (const std::int64_t id : ids) {
        if (id >= 0) wanted.insert(id);
    }
    for (const std::int64_t id : ids) CHECK(set.contains(id) == (wanted.count(id) == 1));
    for (const std::int64_t id : others) CHECK(set.contains(id) == (wanted.count(id) == 1));
}

TEST_CASE("hashing: crowded buckets") {
    const auto together = neighbors_of(5, 200);
    for (const std::size_t n : {1, 7, 8, 9, 16, 17, 40, 100}) {
        check_set({together.begin(), together.begin() + static_cast<std::ptrdiff_t>(n)}, together);
    }
    // In the last bucket: what runs over goes to the first.
    std::int64_t last = 0;
    while (hash_id(last) >> 52 != 4095) ++last;
    const auto at_the_end = neighbors_of(last, 60);
    check_set({at_the_end.begin(), at_the_end.begin() + 30}, at_the_end);
}

TEST_CASE("hashing: random sets") {
    std::mt19937_64 random(1);
    for (const std::size_t n : {1, 2, 8, 63, 500, 5000}) {
        std::vector<std::int64_t> ids(n);
        for (std::int64_t& id : ids) id = static_cast<std::int64_t>(random() % (2 * n)) - 3;
        std::vector<std::int64_t> others;
        for (std::int64_t id = -5; id < static_cast<std::int64_t>(2 * n) + 5; ++id) {
            others.push_back(id);
        }
        others.push_back(INT64_MAX);
        others.push_back(INT64_MIN);
        check_set(ids, others);
    }
}

TEST_CASE("hashing: invalid and extreme ids") {
    check_set({}, {-1, 0, 1, INT64_MAX});
    check_set({-1, -1, INT64_MIN}, {-1, 0, 1, INT64_MIN});
    check_set({INT64_MAX, 0}, {-1, 0, 1, INT64_MAX, INT64_MAX - 1});
}

}  // namespace
