// What a feed keeps of one cluster, and the lock that a reader and the writer share.
#pragma once

#include <mutex>

#include "feed/counts.hpp"
#include "feed/members.hpp"

namespace vecrecall::feed {

struct Cluster {
    mutable std::mutex lock;
    Counts counts;
    Members members;
};

}  // namespace vecrecall::feed
