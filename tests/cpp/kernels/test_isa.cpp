#include "check.hpp"

#include <stdexcept>

#include "vecrecall/isa.hpp"

using namespace vecrecall;

int main() {
    const std::vector<std::string> names = available_isas();
    CHECK(!names.empty());
    CHECK(names.back() == "baseline");
    CHECK(isa() == names.front());
    for (const std::string& name : names) {
        set_isa(name);
        CHECK(isa() == name);
    }
    CHECK_THROWS(set_isa("sse9"), std::invalid_argument);
    CHECK(isa() == names.back());
    for (const std::string& name : names) std::printf("available: %s\n", name.c_str());
    return test::report("isa");
}
