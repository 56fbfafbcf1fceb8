// Runs what depends on kernels on each instruction set of this machine, or on those that
// VECRECALL_TEST_ISAS names, apart by commas.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "vecrecall/isa.hpp"

namespace test {

inline bool is_wanted(const std::string& name) {
    const char* wanted = std::getenv("VECRECALL_TEST_ISAS");
    return !wanted || (',' + std::string(wanted) + ',').find(',' + name + ',') != std::string::npos;
}

// The one that was in use is so again at the end: cases may share a process.
template <class Run>
void on_every_isa(const Run& run) {
    const std::string before = vecrecall::isa();
    int runs = 0;
    for (const std::string& name : vecrecall::available_isas()) {
        if (!is_wanted(name)) continue;
        ++runs;
        CAPTURE(name);
        vecrecall::set_isa(name);
        CHECK(vecrecall::isa() == name);
        run();
    }
    CHECK(runs > 0);
    vecrecall::set_isa(before);
}

}  // namespace test
