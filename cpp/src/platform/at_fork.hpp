// Locks that survive a fork. A child has only the thread that forked: a lock that another thread
// held stays locked there forever, and what it guarded may be half written.
// std::call_once needs no care: glibc runs in a child again what was in progress.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

namespace vecrecall::at_fork {

// A lock for a few microseconds of work, in which no other lock is taken and no callback runs.
// A fork waits until no thread holds it, so that a child finds it free and what it guards whole.
// There are few of them, each shared by many objects.
std::mutex& lock_of(const void* object);

// How many forks lie between this process and the one that the library was loaded in.
std::uint64_t generation();

// A T of this process's own, for work that a fork cannot wait for: where a child's parent may be at
// work in it, the child makes another. The old one is abandoned, since its lock may never be free.
template <class T>
class PerProcess {
  public:
    T& get() {
        const std::lock_guard lock(lock_of(this));
        if (generation_ != generation()) {
            static_cast<void>(value_.release());
            value_ = std::make_unique<T>();
            generation_ = generation();
        }
        return *value_;
    }

  private:
    std::unique_ptr<T> value_ = std::make_unique<T>();
    std::uint64_t generation_ = generation();
};

}  // namespace vecrecall::at_fork
