#include "kernels/cpu.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace vecrecall::kernels::cpu {

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

constexpr unsigned bits(auto... positions) { return ((1U << positions) | ...); }

constexpr bool has(unsigned reg, unsigned wanted) { return (reg & wanted) == wanted; }

// Register state that the operating system saves and restores; 0 without OSXSAVE.
unsigned saved_state(const Leaf& l1) noexcept {
    if (!has(l1.ecx, bits(27))) return 0;
    unsigned low = 0;
    unsigned high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

}  // namespace

std::uint32_t detect() noexcept {
    const Leaf l1 = leaf(1);
    const Leaf l7 = leaf(7);
    const Leaf extended = leaf(0x80000001);
    const unsigned saved = saved_state(l1);
    std::uint32_t found = kNone;
    // SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, XSAVE, AVX, F16C
    const bool v3 = has(l1.ecx, bits(0, 9, 12, 13, 19, 20, 22, 23, 26, 28, 29)) &&
                    has(l7.ebx, bits(3, 5, 8)) &&     // BMI1, AVX2, BMI2
                    has(extended.ecx, bits(0, 5)) &&  // LAHF, LZCNT
                    has(saved, bits(1, 2));           // XMM, YMM
    if (!v3) return found;
    found |= kX86V3;
    const bool v4 = has(l7.ebx, bits(16, 17, 28, 30, 31)) &&  // F, DQ, CD, BW, VL
                    has(saved, bits(5, 6, 7));                // masks, upper ZMM, high ZMM
    if (!v4) return found;
    found |= kX86V4;
    if (has(l7.ecx, bits(11))) found |= kX86Vnni;
    return found;
}

#elif defined(__aarch64__) && defined(__linux__)

std::uint32_t detect() noexcept {
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? kArmDotProd : kNone;
}

#elif defined(__aarch64__) && defined(__APPLE__)

std::uint32_t detect() noexcept { return kArmDotProd; }  // every Apple arm64 processor has it

#else

std::uint32_t detect() noexcept { return kNone; }

#endif

}  // namespace vecrecall::kernels::cpu
