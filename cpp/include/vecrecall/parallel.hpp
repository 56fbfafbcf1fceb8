// The library's threads: one lazy pool for the process, shared by all callers, fork-safe.
#pragma once

#include <cstddef>
#include <functional>

namespace vecrecall {

inline constexpr int kMaxThreads = 1024;

// The default number of threads of a heavy call. The first use reads VECRECALL_NUM_THREADS and
// throws std::invalid_argument when it is not a whole number in that range; without it, the
// processors that this process may use, by affinity and cgroup quota.
int num_threads();

// Throws std::invalid_argument unless 1 <= n <= kMaxThreads.
void set_num_threads(int n);

// Runs task(0) .. task(n - 1), each once, on at most `threads` threads of which the caller is one;
// returns when all have finished. threads == 0 means num_threads(). Every task runs with round to
// nearest and without flushing denormals. Rethrows the first exception; tasks not yet begun are
// then left out. May be called from any thread, and from inside a task. In a CancelScope the caller
// asks between its tasks and while it waits for others; all look between tasks whether to stop.
void parallel_for(std::size_t n, int threads, const std::function<void(std::size_t)>& task);

}  // namespace vecrecall
