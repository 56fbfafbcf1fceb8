#include "platform/cpu_count.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace vecrecall;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

TEST_CASE("cpu_count: at least one") { CHECK(usable_cpus() >= 1); }

#if defined(__linux__)
TEST_CASE("cpu_count: quotas of control groups") {
    const fs::path root = fs::temp_directory_path() / "vecrecall_test_cpu_count";
    fs::remove_all(root);
    const std::string groups = (root / "groups").string();

    // Version 2: the strictest of the group and its parents.
    write(root / "groups", "0::/service/worker\n");
    write(root / "v2/service/worker/cpu.max", "max 100000\n");
    CHECK(cgroup_quota(groups, (root / "v2").string()) > 1000);
    write(root / "v2/service/cpu.max", "150000 100000\n");
    CHECK(cgroup_quota(groups, (root / "v2").string()) == 1.5);
    write(root / "v2/service/worker/cpu.max", "50000 100000\n");
    CHECK(cgroup_quota(groups, (root / "v2").string()) == 0.5);

    // Version 1: the controller's own tree; -1 is no quota.
    write(root / "groups", "3:memory:/other\n4:cpu,cpuacct:/box\n");
    write(root / "v1/cpu/box/cpu.cfs_quota_us", "-1\n");
    write(root / "v1/cpu/box/cpu.cfs_period_us", "100000\n");
    CHECK(cgroup_quota(groups, (root / "v1").string()) > 1000);
    write(root / "v1/cpu/box/cpu.cfs_quota_us", "200000\n");
    CHECK(cgroup_quota(groups, (root / "v1").string()) == 2.0);

    write(root / "groups", "nonsense\n");
    CHECK(cgroup_quota(groups, (root / "v2").string()) > 1000);
    fs::remove_all(root);
}
#endif

}  // namespace
