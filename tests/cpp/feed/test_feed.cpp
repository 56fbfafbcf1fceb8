// One writer and many readers, the bounds of a feed, and its arithmetic of powers of two.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "feed/decay.hpp"
#include "vecrecall/feed.hpp"

using namespace vecrecall;

namespace {

constexpr std::size_t kClusters = 3;
constexpr std::size_t kWidth = 40;
constexpr FeedOptions kOptions{
    .clusters = kClusters, .half_life = 10, .capacity = 32, .history = 5, .max_users = 70};

// In buffers of exact size.
struct Batch {
    std::vector<std::int64_t> clusters, items, users;
    std::vector<double> times, weights;

    Batch(std::size_t n, unsigned seed) {
        std::mt19937 engine(seed);
        const auto below = [&](unsigned m) { return static_cast<std::int64_t>(engine() % m); };
        for (std::size_t i = 0; i < n; ++i) {
            clusters.push_back(below(kClusters));
            items.push_back(below(100));
            users.push_back(below(201) - 1);
            times.push_back(static_cast<double>(below(1000)) / 7);
            weights.push_back(static_cast<double>(below(5)));
        }
    }

    Clicks clicks() const {
        return {clusters.data(), items.data(),   times.data(),
                users.data(),    weights.data(), clusters.size()};
    }
};

struct Answer {
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<std::int32_t> counts;
    ListsOut out;

    explicit Answer(std::size_t rows)
        : ids(rows * kWidth),
          scores(rows * kWidth),
          counts(rows),
          out{ids.data(), scores.data(), counts.data(), rows, kWidth} {}

    // Of distinct items, in order, none of them `self` in its row.
    void check(const std::int64_t* self) const {
        for (std::size_t r = 0; r < counts.size(); ++r) {
            const std::int64_t* const row = ids.data() + r * kWidth;
            std::vector<std::int64_t> held(row, row + counts[r]);
            for (std::size_t i = 1; i < held.size(); ++i) {
                CHECK(scores[r * kWidth + i - 1] >= scores[r * kWidth + i]);
            }
            std::sort(held.begin(), held.end());
            CHECK(std::adjacent_find(held.begin(), held.end()) == held.end());
            if (self != nullptr) {
                CHECK(!std::binary_search(held.begin(), held.end(), self[r]));
            }
        }
    }
};

void read(const ClusterFeed& feed, const std::atomic<bool>& done) {
    const std::vector<std::int64_t> clusters{0, 1, 2, 0};
    const std::vector<std::int64_t> items{1, 2, 3, 4};
    const std::vector<std::int64_t> excluded{5, 6};
    const std::vector<std::int64_t> offsets{0, 1, 1, 2, 2};
    do {
        Answer top(4);
        feed.top(clusters.data(), 200, {excluded.data(), offsets.data(), 4}, top.out, 2);
        top.check(nullptr);
        Answer related(4);
        feed.related(clusters.data(), items.data(), 200, related.out, 2);
        related.check(items.data());
    } while (!done);
}

TEST_CASE("feed: one writer and many readers") {
    ClusterFeed feed(kOptions);
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) readers.emplace_back([&] { read(feed, done); });
    for (unsigned turn = 0; turn < 300; ++turn) {
        CHECK(!feed.observe(Batch(300, turn).clicks()));
        if (turn % 20 == 0) CHECK(feed.state().bases.size() == kClusters);
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
    CHECK(feed.knows_users());
}

TEST_CASE("feed: bounds hold and state returns") {
    ClusterFeed feed(kOptions);
    for (unsigned turn = 0; turn < 30; ++turn) feed.observe(Batch(200, turn).clicks());
    const FeedState state = feed.state();
    CHECK(state.items.size() == kClusters * kOptions.capacity);
    CHECK(state.users.size() == kClusters * kOptions.max_users);
    CHECK(state.history_items.size() <= state.users.size() * kOptions.history);
    ClusterFeed other(kOptions);
    other.restore(state);
    const Batch more(500, 77);
    feed.observe(more.clicks());
    other.observe(more.clicks());
    const FeedState a = feed.state();
    const FeedState b = other.state();
    CHECK((a.items == b.items && a.keys == b.keys && a.values == b.values && a.times == b.times));
    CHECK((a.users == b.users && a.last_seen == b.last_seen));
    CHECK((a.history_items == b.history_items && a.history_times == b.history_times));
    CHECK_THROWS_AS(other.restore(state), std::invalid_argument);
}

TEST_CASE("feed: bad input") {
    CHECK_THROWS_AS(ClusterFeed({.clusters = 0}), std::invalid_argument);
    CHECK_THROWS_AS(ClusterFeed({.half_life = 0}), std::invalid_argument);
    CHECK_THROWS_AS(ClusterFeed({.half_life = std::nan("")}), std::invalid_argument);
    CHECK_THROWS_AS(ClusterFeed({.history = std::size_t{1} << 17}), std::invalid_argument);
    CHECK_THROWS_AS(ClusterFeed({.capacity = std::size_t{1} << 40}), std::invalid_argument);
    ClusterFeed feed(kOptions);
    Batch batch(9, 1);
    batch.times[8] = std::numeric_limits<double>::infinity();
    const auto fault = feed.observe(batch.clicks());
    CHECK((fault && fault->argument == ClickFault::kTimes && fault->place == 8));
    CHECK(feed.state().items.empty());
    const std::int64_t unknown = kClusters;
    Answer answer(1);
    CHECK_THROWS_AS(feed.top(&unknown, 0, {}, answer.out), std::out_of_range);
    FeedState broken = feed.state();
    broken.item_offsets[1] = -5;
    CHECK_THROWS_AS(feed.restore(broken), std::invalid_argument);
}

TEST_CASE("feed: powers and logarithms") {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    constexpr double kUlp = 0x1p-52;
    std::mt19937 engine(1);
    std::uniform_real_distribution<double> exponents(-1021, 1023);
    for (int i = 0; i < 20'000; ++i) {
        const double x = exponents(engine);
        const double power = std::exp2(x);
        CHECK(std::abs(feed::exp2(x) - power) <= 3 * kUlp * power);
        const double least = std::max(1.0, std::abs(x));
        CHECK(std::abs(feed::log2(power) - std::log2(power)) <= 4 * kUlp * least);
    }
    for (int n = -1074; n <= 1023; ++n) {
        CHECK(feed::exp2(n) == std::ldexp(1.0, n));
        CHECK(feed::log2(std::ldexp(1.0, n)) == n);
    }
    CHECK((feed::exp2(-kInf) == 0 && feed::exp2(-2000) == 0));
    CHECK((feed::exp2(kInf) == kInf && feed::exp2(1024) == kInf));
    CHECK(feed::half_lives(-1.5e308, 1.5e308, 1e308) == 3);
    CHECK(feed::decayed(0, 1e300, -1e300, 1e-300) == 0);
}

}  // namespace
