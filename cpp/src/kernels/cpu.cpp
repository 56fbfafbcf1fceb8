#include "kernels/cpu.hpp"

#include <atomic>
#include <cerrno>

namespace vecrecall::kernels::cpu {
namespace {

constexpr std::uint32_t bits(auto... positions) { return ((std::uint32_t{1} << positions) | ...); }

constexpr bool has(std::uint32_t reg, std::uint32_t wanted) { return (reg & wanted) == wanted; }

constexpr std::uint32_t kVectors = bits(1, 2);         // of XCR0: XMM, YMM
constexpr std::uint32_t kWideVectors = bits(5, 6, 7);  // masks, upper ZMM, high ZMM
constexpr std::uint32_t kTileState = bits(17, 18);     // configuration, data

constexpr int kNotAsked = -1;
std::atomic<int> g_answer{kNotAsked};

// Not a static of a function, for which a child would wait that was forked while another thread
// asked. Where two threads ask at once, the first answer counts for both.
int request_tiles_once() noexcept {
    int answer = g_answer.load(std::memory_order_acquire);
    if (answer != kNotAsked) return answer;
    const int fresh = host::request_tiles();
    return g_answer.compare_exchange_strong(answer, fresh) ? fresh : answer;
}

}  // namespace

Features features_of(const X86Leaves& l) noexcept {
    Features found{};
    const auto add = [&](std::uint32_t feature, bool is_there, std::uint32_t state) {
        if (!is_there) return false;
        found.of_processor |= feature;
        if (has(l.xcr0, state)) found.saved |= feature;
        return true;
    };
    // SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, XSAVE, AVX, F16C
    const bool v3 = has(l.ecx_1, bits(0, 9, 12, 13, 19, 20, 22, 23, 26, 28, 29)) &&
                    has(l.ebx_7, bits(3, 5, 8)) &&    // BMI1, AVX2, BMI2
                    has(l.ecx_extended, bits(0, 5));  // LAHF, LZCNT
    if (!add(kX86V3, v3, kVectors)) return found;
    const bool v4 = has(l.ebx_7, bits(16, 17, 28, 30, 31));  // F, DQ, CD, BW, VL
    if (!add(kX86V4, v4, kVectors | kWideVectors)) return found;
    add(kX86Vnni, has(l.ecx_7, bits(11)), kVectors | kWideVectors);
    add(kX86Amx, has(l.edx_7, bits(24, 25)), kVectors | kWideVectors | kTileState);
    return found;
}

Lack lack_of(std::uint32_t needed, const Features& features, int (*request_tiles)()) noexcept {
    if (!has(features.of_processor, needed)) return Lack::kProcessor;
    if (!has(features.saved, needed)) return Lack::kState;
    if (!has(needed, kX86Amx)) return Lack::kNothing;
    switch (request_tiles()) {
        case 0: return Lack::kNothing;
        case EINVAL:  // a kernel that does not know the request
        case ENOSYS:
        case EOPNOTSUPP: return Lack::kState;
        case ENOSPC: return Lack::kSignalStack;
        default: return Lack::kPermission;
    }
}

Lack lack_of(std::uint32_t needed) noexcept {
    return lack_of(needed, host::features(), request_tiles_once);
}

const char* describe(Lack lack) noexcept {
    switch (lack) {
        case Lack::kNothing: return "";
        case Lack::kProcessor: return "no such processor";
        case Lack::kState: return "the kernel does not save its registers";
        case Lack::kPermission: return "the kernel refused permission";
        case Lack::kSignalStack:
            return "the kernel refused permission: a thread has a small sigaltstack";
    }
    return "";
}

}  // namespace vecrecall::kernels::cpu
