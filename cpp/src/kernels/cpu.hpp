// The features that a kernel file's compile flags allow, as bits.
#pragma once

#include <cstdint>

namespace vecrecall::kernels::cpu {

inline constexpr std::uint32_t kNone = 0;
inline constexpr std::uint32_t kX86V3 = 1U << 0;    // all of x86-64-v3, saved by the system
inline constexpr std::uint32_t kX86V4 = 1U << 1;    // all of x86-64-v4, saved by the system
inline constexpr std::uint32_t kX86Vnni = 1U << 2;  // AVX512_VNNI
inline constexpr std::uint32_t kArmDotProd = 1U << 3;

// The features of this processor and its operating system.
std::uint32_t detect() noexcept;

}  // namespace vecrecall::kernels::cpu
