// How many processors this process may use.
#pragma once

#include <string>

namespace vecrecall {

// By affinity mask and cgroup quota (rounded up), at least 1.
int usable_cpus();

#if defined(__linux__)
// Processors by the strictest quota from the process's own control group up to the root; a huge
// number where there is none. Reads a file like /proc/self/cgroup and a tree like /sys/fs/cgroup.
double cgroup_quota(const std::string& groups_file, const std::string& tree);
#endif

}  // namespace vecrecall
