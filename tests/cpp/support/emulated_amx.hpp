// Runs the matrix unit's instructions on processors that lack it: each is an illegal instruction
// there, whose signal handler does what it says. So tests run the kernels' object code as it is.
#pragma once

#include <cstdint>

namespace test {

// Whether AMX instructions can be executed from now on: by the processor, or emulated. False where
// the kernels of the set `amx` could not run for other reasons.
bool execute_amx();

// Handles SIGILL from now on.
bool emulate_amx();

// Whether execute_amx() emulates. `instructions` of all threads so far, to see that they ran.
bool amx_is_emulated();
std::uint64_t emulated_amx_instructions();

}  // namespace test
