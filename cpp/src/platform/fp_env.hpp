// The floating-point environment that fixes our bits, set for a scope and put back after it.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace vecrecall {

class FpEnvScope {
  public:
#if defined(__x86_64__)
    // Round to nearest, FTZ and DAZ off, all exceptions masked.
    FpEnvScope() noexcept : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80U); }
    ~FpEnvScope() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
    FpEnvScope() noexcept {
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        __asm__ volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
    }
    ~FpEnvScope() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
#error "say here how to set the floating-point environment of this processor"
#endif
    FpEnvScope(const FpEnvScope&) = delete;
    FpEnvScope& operator=(const FpEnvScope&) = delete;

  private:
#if defined(__x86_64__)
    unsigned saved_;
#elif defined(__aarch64__)
    std::uint64_t saved_;
#endif
};

}  // namespace vecrecall
