// The answers of this processor and its system. Tests that emulate another processor replace this
// file.
#include <cerrno>

#include "kernels/cpu.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace vecrecall::kernels::cpu::host {

#if defined(__x86_64__)
namespace {

struct Leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf leaf(unsigned number) noexcept {
    Leaf l;
    __get_cpuid_count(number, 0, &l.eax, &l.ebx, &l.ecx, &l.edx);
    return l;  // zeros where the processor has no such leaf
}

// 0 without OSXSAVE.
unsigned saved_state(const Leaf& l1) noexcept {
    if ((l1.ecx & (1U << 27)) == 0) return 0;
    unsigned low = 0;
    unsigned high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

}  // namespace

Features features() noexcept {
    const Leaf l1 = leaf(1);
    const Leaf l7 = leaf(7);
    return features_of({.ecx_1 = l1.ecx,
                        .ebx_7 = l7.ebx,
                        .ecx_7 = l7.ecx,
                        .edx_7 = l7.edx,
                        .ecx_extended = leaf(0x80000001).ecx,
                        .xcr0 = saved_state(l1)});
}

#elif defined(__aarch64__)

Features features() noexcept {
#if defined(__APPLE__)
    const bool dot = true;  // every Apple arm64 processor has it
#elif defined(__linux__)
    const bool dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    const bool dot = false;
#endif
    const std::uint32_t found = dot ? kArmDotProd : kNone;
    return {.of_processor = found, .saved = found};
}

#else

Features features() noexcept { return {}; }

#endif

int request_tiles() noexcept {
#if defined(__x86_64__) && defined(__linux__)
    constexpr long kRequest = 0x1023;  // ARCH_REQ_XCOMP_PERM, which older headers lack
    constexpr long kTileData = 18;
    const int before = errno;
    const int error = syscall(SYS_arch_prctl, kRequest, kTileData) == 0 ? 0 : errno;
    errno = before;
    return error;
#else
    return ENOSYS;
#endif
}

}  // namespace vecrecall::kernels::cpu::host
