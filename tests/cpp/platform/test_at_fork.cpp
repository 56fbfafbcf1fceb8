#include "platform/at_fork.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "forks.hpp"

using namespace vecrecall;

namespace {

// Two numbers that differ while they are written.
struct Twice {
    int first = 0;
    int second = 0;

    void write() {
        const std::lock_guard lock(at_fork::lock_of(this));
        ++first;
        ++second;
    }
    bool whole() {
        const std::lock_guard lock(at_fork::lock_of(this));
        return first == second;
    }
};

struct Busy {
    std::mutex lock;
    int work = 0;
};

// A child that hangs is killed, which is a failure.
template <class Work>
bool holds_in_child(const Work& work) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(work() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("at_fork: in a child locks are free and data is whole" * doctest::skip(test::kNoFork)) {
    std::array<Twice, 200> data;
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        while (!stop.load()) {
            for (Twice& twice : data) twice.write();
        }
    });
    for (int i = 0; i < 100; ++i) {
        CHECK(holds_in_child([&] {
            for (Twice& twice : data) {
                if (!twice.whole()) return false;
            }
            return true;
        }));
    }
    stop.store(true);
    writer.join();
    for (Twice& twice : data) CHECK(twice.whole());
}

TEST_CASE("at_fork: a child has data of its own" * doctest::skip(test::kNoFork)) {
    at_fork::PerProcess<Busy> busy;
    Busy* const parents = &busy.get();
    CHECK(&busy.get() == parents);
    std::atomic<bool> held{false};
    std::atomic<bool> stop{false};
    std::thread holder([&] {
        const std::lock_guard lock(parents->lock);
        parents->work = 1;
        held.store(true);
        while (!stop.load()) std::this_thread::yield();
    });
    while (!held.load()) std::this_thread::yield();
    CHECK(holds_in_child([&] {
        const std::lock_guard lock(busy.get().lock);
        return busy.get().work == 0 && at_fork::generation() == 1;
    }));
    stop.store(true);
    holder.join();
    CHECK((&busy.get() == parents && parents->work == 1));
}

}  // namespace
