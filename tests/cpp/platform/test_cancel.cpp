#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "forks.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/cancel.hpp"
#include "vecrecall/feed.hpp"
#include "vecrecall/flat_index.hpp"
#include "vecrecall/parallel.hpp"

using namespace vecrecall;

namespace {

// Far more tasks than run before anybody asks, so that the work is cut short or the test waits.
constexpr std::size_t kTasks = 1'000'000;

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

void check_pool_is_whole() {
    std::atomic<std::size_t> runs{0};
    parallel_for(1000, 4, [&](std::size_t) { ++runs; });
    CHECK(runs.load() == 1000);
}

// Only the caller is asked; work in progress ends, work that has not begun is left out.
void check_tasks_are_left_out(int threads) {
    std::atomic<std::size_t> begun{0};
    std::atomic<std::size_t> ended{0};
    const std::thread::id caller = std::this_thread::get_id();
    bool by_caller = true;
    {
        const CancelScope scope([&] {
            by_caller = by_caller && std::this_thread::get_id() == caller;
            return begun.load() > 0;
        });
        CHECK_THROWS_AS(parallel_for(kTasks, threads,
                                     [&](std::size_t) {
                                         ++begun;
                                         rest();
                                         ++ended;
                                     }),
                        Canceled);
        CHECK_THROWS_AS(check_cancelled(), Canceled);  // for all the scope's life
    }
    CHECK(by_caller);
    CHECK(begun.load() == ended.load());  // all workers are out of it
    CHECK(begun.load() < kTasks);
    check_cancelled();
    check_pool_is_whole();
}

TEST_CASE("cancel: nested work") {
    std::atomic<std::size_t> begun{0};
    const CancelScope scope([] { return true; });
    CHECK_THROWS_AS(parallel_for(8, 4,
                                 [&](std::size_t) {
                                     parallel_for(kTasks, 2, [&](std::size_t) {
                                         ++begun;
                                         rest();
                                     });
                                 }),
                    Canceled);
    CHECK(begun.load() < kTasks);
}

// The caller has no task left and waits for a worker whose loop is long.
TEST_CASE("cancel: a waiting caller asks") {
    std::atomic<bool> asked{false};
    std::atomic<bool> told{false};
    const std::thread::id caller = std::this_thread::get_id();
    {
        const CancelScope scope([&] {
            asked = true;
            return true;
        });
        std::atomic<int> inside{0};
        CHECK_THROWS_AS(parallel_for(2, 2,
                                     [&](std::size_t) {
                                         ++inside;
                                         while (inside.load() < 2) rest();  // both are at work
                                         if (std::this_thread::get_id() == caller) return;
                                         try {
                                             for (;;) {
                                                 check_cancelled();
                                                 rest();
                                             }
                                         } catch (const Canceled&) {
                                             told = true;
                                             throw;
                                         }
                                     }),
                        Canceled);
    }
    CHECK((asked.load() && told.load()));
    check_pool_is_whole();
}

TEST_CASE("cancel: a scope that never says so") {
    std::atomic<int> runs{0};
    int asked = 0;
    const CancelScope scope([&] {
        ++asked;
        return false;
    });
    parallel_for(300, 2, [&](std::size_t) {
        ++runs;
        rest();
    });
    CHECK(runs.load() == 300);
    CHECK(asked >= 1);
}

// Calls of the callback have a scope of their own, and the pool at their disposal.
TEST_CASE("cancel: a callback may call") {
    std::atomic<int> inner{0};
    std::atomic<std::size_t> runs{0};
    {
        const CancelScope scope([&] {
            const CancelScope none([] { return false; });
            parallel_for(100, 4, [&](std::size_t) { ++inner; });
            return true;
        });
        CHECK_THROWS_AS(parallel_for(kTasks, 4,
                                     [&](std::size_t) {
                                         ++runs;
                                         rest();
                                     }),
                        Canceled);
    }
    CHECK(inner.load() == 100);
    CHECK(runs.load() < kTasks);
}

TEST_CASE("cancel: callers side by side") {
    std::atomic<int> canceled{0};
    std::atomic<int> whole{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 6; ++c) {
        callers.emplace_back([&, c] {
            const CancelScope scope([c] { return c % 2 == 0; });
            std::atomic<int> runs{0};
            try {
                parallel_for(c % 2 == 0 ? kTasks : 300, 3, [&](std::size_t) {
                    ++runs;
                    rest();
                });
                whole += runs.load() == 300 ? 1 : 0;
            } catch (const Canceled&) {
                ++canceled;
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(canceled.load() == 3);
    CHECK(whole.load() == 3);
}

// A task's own error does not hide that the call was told to stop.
TEST_CASE("cancel: canceled comes before an error of a task") {
    std::atomic<bool> asked{false};
    const CancelScope scope([&] {
        asked = true;
        return true;
    });
    const std::thread::id caller = std::this_thread::get_id();
    CHECK_THROWS_AS(parallel_for(kTasks, 2,
                                 [&](std::size_t) {
                                     rest();
                                     if (std::this_thread::get_id() == caller) return;
                                     while (!asked.load()) rest();
                                     throw std::runtime_error("task");
                                 }),
                    Canceled);
}

TEST_CASE("cancel: turns") {
    canceling::Turn turn;
    turn.lock();
    CHECK(turn.is_mine());
    CHECK_THROWS_AS(turn.lock(), std::logic_error);
    std::thread([&] {
        CHECK(!turn.is_mine());
        const CancelScope scope([] { return true; });
        CHECK_THROWS_AS(turn.lock(), Canceled);
    }).join();
    turn.unlock();
    turn.lock();
    turn.unlock();
}

TEST_CASE("cancel: in a child after fork" * doctest::skip(test::kNoFork)) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);  // a hang is a failure
        bool told = false;
        try {
            const CancelScope scope([] { return true; });
            parallel_for(kTasks, 4, [](std::size_t) { rest(); });
        } catch (const Canceled&) {
            told = true;
        }
        std::atomic<int> runs{0};
        parallel_for(10, 4, [&](std::size_t) { ++runs; });
        _exit(told && runs.load() == 10 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

TEST_CASE("cancel: sorting") {
    std::vector<std::uint32_t> numbers(2 * canceling::kManyToSort);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = static_cast<std::uint32_t>(i * 2654435761U);
    }
    std::vector<std::uint32_t> expected = numbers;
    std::sort(expected.begin(), expected.end());
    canceling::sort(numbers.begin(), numbers.end(), std::less<>());
    CHECK(numbers == expected);
    const CancelScope scope([] { return true; });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::vector<std::uint32_t> again(numbers.rbegin(), numbers.rend());
    CHECK_THROWS_AS(canceling::sort(again.begin(), again.end(), std::less<>()), Canceled);
}

// An update that is told to stop has changed nothing, and the next is right.
TEST_CASE("cancel: an update") {
    constexpr std::size_t kRows = 300'000;  // so many tasks that the caller has some of them
    std::vector<float> rows(kRows * 2);
    std::iota(rows.begin(), rows.end(), 0.0F);
    std::vector<std::int64_t> ids(kRows);
    std::iota(ids.begin(), ids.end(), std::int64_t{0});
    FlatIndex index({.rows = {rows.data(), kRows, 2}, .ids = ids.data()}, Metric::kIp, {});
    std::iota(ids.begin(), ids.end(), std::int64_t{kRows});
    const ItemsView more{.rows = {rows.data(), kRows, 2}, .ids = ids.data()};
    {
        const CancelScope scope([] { return true; });
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        CHECK_THROWS_AS(index.add(more), Canceled);
    }
    CHECK(index.snapshot().size() == kRows);
    index.add(more);
    CHECK(index.snapshot().size() == 2 * kRows);
}

// Of a batch of clicks the first are taken, whole runs of them.
TEST_CASE("cancel: clicks") {
    constexpr std::size_t kRun = std::size_t{1} << 18;
    constexpr std::size_t kClicks = 2 * kRun + 5;
    const std::vector<std::int64_t> clusters(kClicks, 0);
    const std::vector<std::int64_t> items(kClicks, 3);
    const std::vector<double> times(kClicks, 0.0);
    const Clicks clicks{
        .clusters = clusters.data(), .items = items.data(), .times = times.data(), .size = kClicks};
    ClusterFeed feed({.clusters = 1, .half_life = 1, .capacity = 10});
    {
        const CancelScope scope([] { return true; });
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        CHECK_THROWS_AS(feed.observe(clicks), Canceled);
    }
    CHECK(feed.state().values == std::vector<double>{static_cast<double>(kRun)});
}

TEST_CASE("cancel: tasks are left out") {
    for (const int threads : {1, 2, 8}) check_tasks_are_left_out(threads);
}

}  // namespace
