// The features that a kernel file's compile flags allow, as bits, and whether they can be used.
#pragma once

#include <cstdint>

namespace vecrecall::kernels::cpu {

inline constexpr std::uint32_t kNone = 0;
inline constexpr std::uint32_t kX86V3 = 1U << 0;    // all of x86-64-v3
inline constexpr std::uint32_t kX86V4 = 1U << 1;    // all of x86-64-v4
inline constexpr std::uint32_t kX86Vnni = 1U << 2;  // AVX512_VNNI
inline constexpr std::uint32_t kArmDotProd = 1U << 3;
inline constexpr std::uint32_t kX86Amx = 1U << 4;  // AMX_TILE, AMX_INT8

// The words of an x86 processor about itself.
struct X86Leaves {
    std::uint32_t ecx_1 = 0;  // CPUID leaf 1
    std::uint32_t ebx_7 = 0;  // leaf 7, the first part
    std::uint32_t ecx_7 = 0;
    std::uint32_t edx_7 = 0;
    std::uint32_t ecx_extended = 0;  // leaf 0x80000001
    std::uint32_t xcr0 = 0;          // register state that the system saves; read with OSXSAVE only
};

struct Features {
    std::uint32_t of_processor;
    std::uint32_t saved;  // of these, those whose registers the system saves
};

Features features_of(const X86Leaves& leaves) noexcept;

// Why features cannot be used.
enum class Lack {
    kNothing,
    kProcessor,    // it does not have them
    kState,        // the system does not save their registers
    kPermission,   // asked for the registers, it refused
    kSignalStack,  // so it does where a thread's alternate signal stack has no room for them
};

// `request_tiles` asks the system for the tile registers: 0, or the error number. Asked only where
// that is all that is left to know.
Lack lack_of(std::uint32_t needed, const Features& features, int (*request_tiles)()) noexcept;

// The same of this process, which asks once.
Lack lack_of(std::uint32_t needed) noexcept;

// As the end of a message.
const char* describe(Lack lack) noexcept;

// The processor and the system at hand: host.cpp.
namespace host {
Features features() noexcept;
// Granted to a process as a whole, inherited by fork. Never ends the process.
int request_tiles() noexcept;
}  // namespace host

}  // namespace vecrecall::kernels::cpu
