// Runs what depends on kernels on each instruction set of this machine.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "vecrecall/isa.hpp"

namespace test {

// The one that was in use is so again at the end: cases may share a process.
template <class Run>
void on_every_isa(const Run& run) {
    const std::string before = vecrecall::isa();
    for (const std::string& name : vecrecall::available_isas()) {
        CAPTURE(name);
        vecrecall::set_isa(name);
        CHECK(vecrecall::isa() == name);
        run();
    }
    vecrecall::set_isa(before);
}

}  // namespace test
