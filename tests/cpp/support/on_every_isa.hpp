// Runs what depends on kernels on each instruction set of this machine, or on those that
// VECRECALL_TEST_ISAS names, apart by commas. Under ThreadSanitizer on the best: what threads
// share is the same on every set.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "vecrecall/isa.hpp"

namespace test {

inline std::vector<std::string> tested_isas() {
    std::vector<std::string> names = vecrecall::available_isas();
    if (const char* wanted = std::getenv("VECRECALL_TEST_ISAS")) {
        const std::string list = ',' + std::string(wanted) + ',';
        std::erase_if(names, [&](const std::string& name) {
            return list.find(',' + name + ',') == std::string::npos;
        });
    }
    REQUIRE(!names.empty());
#if defined(__SANITIZE_THREAD__)
    names.resize(1);  // best first
#endif
    return names;
}

// The one that was in use is so again at the end: cases may share a process.
template <class Run>
void on_every_isa(const Run& run) {
    const std::string before = vecrecall::isa();
    for (const std::string& name : tested_isas()) {
        CAPTURE(name);
        vecrecall::set_isa(name);
        CHECK(vecrecall::isa() == name);
        run();
    }
    vecrecall::set_isa(before);
}

}  // namespace test
