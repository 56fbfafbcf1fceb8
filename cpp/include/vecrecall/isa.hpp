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

// Makes later calls run on the named set. Calls in progress finish on theirs.
// Throws std::invalid_argument, listing the valid names.
void set_isa(const std::string& name);

}  // namespace vecrecall
