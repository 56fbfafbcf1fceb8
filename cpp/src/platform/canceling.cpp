#include "platform/canceling.hpp"

#include <chrono>
#include <ctime>
#include <stdexcept>
#include <utility>

namespace vecrecall {
namespace {

// Apart, in milliseconds. Asking may have to wait for a lock of the caller's (Python's, for 5 ms,
// where other threads are busy): then seldom, but often enough for half a second.
constexpr std::int64_t kSoonest = 50;
constexpr std::int64_t kLatest = 300;
constexpr std::int64_t kTimesAsLong = 200;

// A fifth of the cost of a precise clock.
std::int64_t milliseconds() {
#if defined(CLOCK_MONOTONIC_COARSE)
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
#else
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
#endif
}

struct Current {
    CancelScope* scope = nullptr;
    bool asks = false;  // in the scope's own thread
};

thread_local Current t_current;

}  // namespace

CancelScope::CancelScope(std::function<bool()> stop)
    : stop_(std::move(stop)),
      next_(milliseconds() + kSoonest),
      outer_(t_current.scope),
      outer_asks_(t_current.asks) {
    t_current = {this, true};
}

CancelScope::~CancelScope() { t_current = {outer_, outer_asks_}; }

bool CancelScope::ask() {
    if (stopped()) return true;
    const std::int64_t begin = milliseconds();
    if (begin < next_) return false;
    const bool stop = stop_();
    const std::int64_t end = milliseconds();
    next_ = end + std::clamp(kTimesAsLong * (end - begin), kSoonest, kLatest);
    if (stop) stopped_.store(true, std::memory_order_relaxed);
    return stop;
}

void check_cancelled() {
    CancelScope* const scope = t_current.scope;
    if (scope == nullptr) return;
    if (t_current.asks ? scope->ask() : scope->stopped()) throw Canceled();
}

namespace canceling {

CancelScope* scope() { return t_current.scope; }
CancelScope* own_scope() { return t_current.asks ? t_current.scope : nullptr; }

Working::Working(CancelScope* scope) { t_current = {scope, false}; }
Working::~Working() { t_current = {}; }

void Turn::lock() {
    std::unique_lock lock(mutex_);
    if (taken_ && owner_ == std::this_thread::get_id()) {
        throw std::logic_error("expected no change by a callback of a change in progress");
    }
    if (!wait(free_, lock, [this] { return !taken_; })) throw Canceled();
    taken_ = true;
    owner_ = std::this_thread::get_id();
}

bool Turn::is_mine() {
    const std::lock_guard lock(mutex_);
    return taken_ && owner_ == std::this_thread::get_id();
}

void Turn::unlock() {
    const std::lock_guard lock(mutex_);
    taken_ = false;
    free_.notify_one();
}

}  // namespace canceling
}  // namespace vecrecall
