#include "platform/cpu_count.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace vecrecall {
namespace {

int hardware_threads() {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

#if defined(__linux__)

int affinity_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return hardware_threads();
    return std::max(1, CPU_COUNT(&set));
}

constexpr double kNoQuota = 1e9;

// cgroup v2: "max 100000" or "150000 100000".
double quota_v2(const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    std::string quota;
    double period = 0;
    if (!(file >> quota >> period) || quota == "max" || period <= 0) return kNoQuota;
    return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v1(const std::string& folder) {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
    std::ifstream period_file(folder + "/cpu.cfs_period_us");
    double quota = 0;
    double period = 0;
    if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) {
        return kNoQuota;
    }
    return quota / period;
}

// The strictest quota from the process's own group up to the root.
template <class Read>
double strictest(const std::string& mount, std::string path, Read read) {
    double quota = read(mount);
    while (!path.empty() && path != "/") {
        quota = std::min(quota, read(mount + path));
        path.resize(path.find_last_of('/'));
    }
    return quota;
}

#endif

}  // namespace

#if defined(__linux__)
double cgroup_quota(const std::string& groups_file, const std::string& tree) {
    double quota = kNoQuota;
    std::ifstream groups(groups_file);
    for (std::string line; std::getline(groups, line);) {  // "0::/path" or "4:cpu,cpuacct:/path"
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        std::string controllers(1, ',');
        controllers.append(line, first + 1, second - first - 1).push_back(',');
        const std::string path = line.substr(second + 1);
        if (path.empty() || path.front() != '/') continue;
        if (controllers == ",,") {
            quota = std::min(quota, strictest(tree, path, quota_v2));
        } else if (controllers.find(",cpu,") != std::string::npos) {
            quota = std::min(quota, strictest(tree + "/cpu", path, quota_v1));
        }
    }
    return quota;
}
#endif

int usable_cpus() {
#if defined(__linux__)
    const double quota = std::ceil(cgroup_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    return std::max(1, static_cast<int>(std::min<double>(affinity_cpus(), quota)));
#else
    return hardware_threads();
#endif
}

}  // namespace vecrecall
