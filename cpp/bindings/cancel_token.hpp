// How one thread stops the calls of another.
#pragma once

#include <atomic>

namespace vecrecall::python {

// `with token:` - calls of this thread inside it end by Canceled once any thread has canceled it.
// One token may be entered by several threads at once, and tokens lie in each other.
class CancelToken {
  public:
    void cancel() { canceled_.store(true, std::memory_order_relaxed); }
    bool canceled() const { return canceled_.load(std::memory_order_relaxed); }

  private:
    std::atomic<bool> canceled_{false};
};

// Whether any token that this thread is in was canceled.
bool token_canceled();

}  // namespace vecrecall::python
