// In place of kernels/host.cpp: a processor with AVX-512 VNNI, and a matrix unit that is emulated.
// The whole library then runs on the set `amx`, slowly. Not where others handle SIGILL, as Python's
// faulthandler does.
#include <cerrno>

#include "emulated_amx.hpp"
#include "kernels/cpu.hpp"

namespace vecrecall::kernels::cpu::host {

Features features() noexcept {
    const bool there = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512cd");
    const std::uint32_t found = there ? kX86V3 | kX86V4 | kX86Vnni | kX86Amx : kNone;
    return {.of_processor = found, .saved = found};
}

int request_tiles() noexcept { return test::emulate_amx() ? 0 : ENOSYS; }

}  // namespace vecrecall::kernels::cpu::host
