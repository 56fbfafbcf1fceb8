// The limits of the machine: loops that do nothing else.
#pragma once

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

// Accumulators that differ, so that the compiler must keep them all.
constexpr int kPeakChains = 12;  // latency 4 at up to 2 a cycle needs 8

// The same value, which the compiler must not know: where products and their sums are different
// instructions, it would multiply but once.
template <class V>
VR_INLINE V unknown(V v) {
#if defined(__x86_64__) || defined(__i386__)
    __asm__("" : "+x"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}

template <class S>
std::uint64_t peak_f32(std::size_t rounds, const void* seed) {
    using V = typename S::F32;
    const V a = load<V>(seed);
    V acc[kPeakChains];
    VR_UNROLL
    for (int c = 0; c < kPeakChains; ++c) acc[c] = S::set(static_cast<float>(c));
    for (std::size_t r = 0; r < rounds; ++r) {
        VR_UNROLL
        for (int c = 0; c < kPeakChains; ++c) acc[c] = S::multiply_add(a, a, acc[c]);
    }
    VR_UNROLL
    for (int c = 1; c < kPeakChains; ++c) acc[0] = acc[0] + acc[c];
    std::uint64_t used;
    __builtin_memcpy(&used, acc, sizeof(used));
    return used;
}

template <class S>
std::uint64_t peak_i8(std::size_t rounds, const void* seed) {
    using V = typename S::I32;
    V a = load<V>(seed);
    V acc[kPeakChains];
    VR_UNROLL
    for (int c = 0; c < kPeakChains; ++c) acc[c] = S::set(c);
    for (std::size_t r = 0; r < rounds; ++r) {
        VR_UNROLL
        for (int c = 0; c < kPeakChains; ++c) {
            a = unknown(a);
            acc[c] = S::dot(acc[c], a, a);
        }
    }
    VR_UNROLL
    for (int c = 1; c < kPeakChains; ++c) acc[0] = acc[0] + acc[c];
    std::uint64_t used;
    __builtin_memcpy(&used, acc, sizeof(used));
    return used;
}

// Reads whole lines, fetched ahead; bytes is a multiple of 512.
template <class S>
std::uint64_t peak_read(std::size_t bytes, const void* from) {
    using V = typename S::I32;
    const auto* at = static_cast<const char*>(from);
    V acc[4] = {};
    for (std::size_t b = 0; b < bytes; b += 4 * sizeof(V)) {
        for (std::size_t l = 0; l < 4 * sizeof(V); l += 64) __builtin_prefetch(at + b + 2048 + l);
        VR_UNROLL
        for (int c = 0; c < 4; ++c) acc[c] = acc[c] ^ load<V>(at + b + c * sizeof(V));
    }
    acc[0] = acc[0] ^ acc[1] ^ acc[2] ^ acc[3];
    std::uint64_t used;
    __builtin_memcpy(&used, acc, sizeof(used));
    return used;
}

}  // namespace
}  // namespace vecrecall::kernels
