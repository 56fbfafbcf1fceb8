// The state of one cluster in a feed, the lock that a reader and the writer share, and what the
// writer works with.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "feed/counts.hpp"
#include "feed/user_histories.hpp"
#include "platform/at_fork.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::feed {

struct Cluster {
    Counts counts;
    UserHistories members;

    std::mutex& lock() const { return at_fork::lock_of(this); }
};

// For one batch at a time. One that a fork interrupts is in the child as far as it was taken.
struct Writing {
    canceling::Turn lock;
    std::vector<std::size_t> order;  // of a slice of a batch, grouped by cluster
    std::vector<std::size_t> ends;
};

struct Writer : at_fork::PerProcess<Writing> {};

}  // namespace vecrecall::feed
