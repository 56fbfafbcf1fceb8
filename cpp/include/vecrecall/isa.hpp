// Which instruction set the kernels run on.
#pragma once

#include <string>
#include <vector>

namespace vecrecall {

// The set in use. The first use reads VECRECALL_ISA and throws std::invalid_argument when it names
// no set of this machine; otherwise the best available set is taken.
std::string isa();

// The sets that this build has and this machine can run, best first.
std::vector<std::string> available_isas();

// A set of this processor's kind that cannot run here, and why: there is no such processor, the
// kernel does not save its registers, or refused permission.
struct UnavailableIsa {
    std::string name;
    std::string reason;
};

// Those that are not among available_isas(), best first. The first look at the sets asks the kernel
// for permission to use a matrix unit, once per process; a refusal stays.
std::vector<UnavailableIsa> unavailable_isas();

// Makes later calls run on the named set. Calls in progress finish on theirs.
// Throws std::invalid_argument, which lists the valid names, and says why a known one is not among
// them.
void set_isa(const std::string& name);

}  // namespace vecrecall
