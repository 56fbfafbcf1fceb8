// How a call is told to stop: by Ctrl-C, a deadline, whatever its caller can ask for.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>

namespace vecrecall {

// Ends a call that was told to stop. Nothing has changed then, and outputs hold anything.
struct Canceled : std::exception {
    const char* what() const noexcept override { return "the call was told to stop"; }
};

// While it lives, every heavy call of this thread asks `stop` now and then, 50 to 300 ms apart, and
// throws Canceled once it has said true; from the first time on, so that short calls never ask.
// `stop` is asked in this thread, with no lock held that it could meet, and may call the library,
// but for changing what the call is changing; it must not throw. Of scopes in each other the inner
// one counts.
class CancelScope {
  public:
    explicit CancelScope(std::function<bool()> stop);
    ~CancelScope();
    CancelScope(const CancelScope&) = delete;
    CancelScope& operator=(const CancelScope&) = delete;

    // Asks, if it is time. Only in the scope's own thread.
    bool ask();
    // Whether it has said so.
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  private:
    std::function<bool()> stop_;
    std::atomic<bool> stopped_{false};
    std::int64_t next_;  // when it is asked again, in milliseconds
    CancelScope* outer_;
    bool outer_asks_;
};

// Throws Canceled if the call that this thread works for is to stop. It costs a few nanoseconds:
// for loops that are not cut into tasks of `parallel_for`, each few microseconds to milliseconds.
void check_cancelled();

}  // namespace vecrecall
