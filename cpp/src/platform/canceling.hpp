// The library's own part of cancellation: threads that work for others, locks that may be
// held for long, and sorting.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

#include "vecrecall/cancel.hpp"

namespace vecrecall::canceling {

// The scope that this thread's call is in, or null.
CancelScope* scope();
// The same, where this thread is the one to ask.
CancelScope* own_scope();

// A thread that works for another one's call, and stops when that does.
class Working {
  public:
    explicit Working(CancelScope* scope);
    ~Working();
    Working(const Working&) = delete;
    Working& operator=(const Working&) = delete;
};

// Loops check once in so many steps of a few nanoseconds each.
inline constexpr std::size_t kSteps = std::size_t{1} << 14;

inline void check_each(std::size_t step) {
    if (step % kSteps == 0 && step != 0) check_cancelled();
}

// Between the stages of what is mostly short.
inline void check_after(std::size_t steps) {
    if (steps >= kSteps) check_cancelled();
}

// Waits for a condition under a lock, with it let go of while the scope is asked. False if that
// says to stop.
template <class Condition>
bool wait(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
          const Condition& condition) {
    CancelScope* const asked = own_scope();
    if (asked == nullptr) {
        changed.wait(lock, condition);
        return true;
    }
    constexpr std::chrono::milliseconds kPause{20};
    while (!changed.wait_for(lock, kPause, condition)) {
        lock.unlock();
        const bool stop = asked->ask();
        lock.lock();
        if (stop) return false;
    }
    return true;
}

// A lock for work that takes long. Who waits for it may be canceled; to take it again in a
// callback of the work itself is an error, where a mutex would wait forever.
class Turn {
  public:
    void lock();
    void unlock();
    bool is_mine();  // this thread's

  private:
    std::mutex mutex_;
    std::condition_variable free_;
    bool taken_ = false;
    std::thread::id owner_;
};

// From here on sorting takes so long that it must be able to stop.
inline constexpr std::size_t kManyToSort = std::size_t{1} << 18;

// A comparison that checks once in a while.
template <class Less>
auto checked(const Less& less, std::size_t& count) {
    return [&less, &count](const auto& a, const auto& b) {
        check_each(++count);
        return less(a, b);
    };
}

template <class Iterator, class Less>
void sort(Iterator first, Iterator last, const Less& less) {
    if (static_cast<std::size_t>(last - first) < kManyToSort) {
        std::sort(first, last, less);
        return;
    }
    std::size_t count = 0;
    std::sort(first, last, checked(less, count));
}

template <class Iterator, class Less>
void nth_element(Iterator first, Iterator nth, Iterator last, const Less& less) {
    if (static_cast<std::size_t>(last - first) < kManyToSort) {
        std::nth_element(first, nth, last, less);
        return;
    }
    std::size_t count = 0;
    std::nth_element(first, nth, last, checked(less, count));
}

// Memory is made of pages when it is first written, a second for some GB.
template <class T>
void fill(T* first, std::size_t n, T value) {
    constexpr std::size_t kPiece = std::size_t{1} << 20;
    for (std::size_t from = 0; from < n; from += kPiece) {
        if (from != 0) check_cancelled();
        std::fill_n(first + from, std::min(kPiece, n - from), value);
    }
}

}  // namespace vecrecall::canceling
