#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "forks.hpp"
#include "vecrecall/parallel.hpp"

using namespace vecrecall;

namespace {

void check_every_task_runs_once() {
    for (const int threads : {1, 2, 3, 8}) {
        for (const std::size_t n : {0, 1, 2, 7, 1000}) {
            std::vector<std::atomic<int>> runs(n);
            parallel_for(n, threads, [&](std::size_t i) { ++runs[i]; });
            for (auto& r : runs) CHECK(r.load() == 1);
        }
    }
}

TEST_CASE("parallel: nested") {
    std::atomic<int> runs{0};
    parallel_for(4, 4, [&](std::size_t) { parallel_for(5, 4, [&](std::size_t) { ++runs; }); });
    CHECK(runs.load() == 20);
}

TEST_CASE("parallel: an exception of a task") {
    CHECK_THROWS_AS(parallel_for(100, 4,
                                 [](std::size_t i) {
                                     if (i == 50) throw std::runtime_error("task");
                                 }),
                    std::runtime_error);
    check_every_task_runs_once();  // the pool is still whole
}

TEST_CASE("parallel: concurrent callers") {
    std::atomic<int> runs{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 8; ++c) {
        callers.emplace_back([&] {
            for (int r = 0; r < 50; ++r) parallel_for(10, 3, [&](std::size_t) { ++runs; });
        });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(runs.load() == 8 * 50 * 10);
}

TEST_CASE("parallel: in a child after fork" * doctest::skip(test::kNoFork)) {
    parallel_for(10, 4, [](std::size_t) {});
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);  // a hang is a failure
        std::atomic<int> runs{0};
        parallel_for(10, 4, [&](std::size_t) { ++runs; });
        _exit(runs.load() == 10 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

TEST_CASE("parallel: bad counts of threads") {
    CHECK_THROWS_AS(set_num_threads(0), std::invalid_argument);
    CHECK_THROWS_AS(set_num_threads(-3), std::invalid_argument);
    CHECK(num_threads() >= 1);
}

TEST_CASE("parallel: every task runs once") { check_every_task_runs_once(); }

}  // namespace
