#include "platform/at_fork.hpp"

#include <array>
#include <atomic>
#include <cstddef>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace vecrecall::at_fork {
namespace {

// A prime, for addresses are multiples of powers of two. ThreadSanitizer follows no more than 64
// locks that one thread holds.
constexpr std::size_t kLocks = 61;

struct alignas(64) Lock {
    std::mutex mutex;
};

std::array<Lock, kLocks> g_locks;
std::atomic<std::uint64_t> g_generation{0};

#if !defined(_WIN32)
void before() {
    for (Lock& lock : g_locks) lock.mutex.lock();
}

void after() {
    for (Lock& lock : g_locks) lock.mutex.unlock();
}

void in_child() {
    ++g_generation;
    after();
}

// As the library is loaded, before anything can hold a lock.
[[maybe_unused]] const int g_registered = pthread_atfork(before, after, in_child);
#endif

}  // namespace

std::mutex& lock_of(const void* object) {
    return g_locks[reinterpret_cast<std::uintptr_t>(object) % kLocks].mutex;
}

std::uint64_t generation() { return g_generation.load(std::memory_order_relaxed); }

}  // namespace vecrecall::at_fork
