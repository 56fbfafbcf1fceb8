#include <doctest/doctest.h>

#include <cstdio>
#include <stdexcept>
#include <vector>

#include "vecrecall/isa.hpp"

using namespace vecrecall;

TEST_CASE("isa: names") {
    const std::vector<std::string> names = available_isas();
    CHECK(!names.empty());
    CHECK(names.back() == "baseline");
    CHECK(isa() == names.front());
    for (const std::string& name : names) {
        set_isa(name);
        CHECK(isa() == name);
    }
    CHECK_THROWS_AS(set_isa("sse9"), std::invalid_argument);
    CHECK(isa() == names.back());
    // For tools/test_other_processors.sh.
    for (const std::string& name : names) std::printf("available: %s\n", name.c_str());
    set_isa(names.front());  // for what else runs in this process
}
