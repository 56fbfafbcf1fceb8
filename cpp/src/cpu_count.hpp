// How many processors this process may use.
#pragma once

namespace vecrecall {

// By affinity mask and cgroup quota (rounded up), at least 1.
int usable_cpus();

}  // namespace vecrecall
