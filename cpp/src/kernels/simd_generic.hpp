// Traits for the ABI's floor: four-lane vectors, no intrinsics, so any processor runs them.
#pragma once

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

struct Generic {
    using F32 = f32x4;
    static constexpr int kLanes = 4;
    static constexpr std::size_t kGroup = 16;
    static constexpr int kQueries = 2;  // 8 accumulators of 16 registers
    static constexpr int kPoolVectors = 2;
    static constexpr bool kCompresses = false;
    using I32 = i32x4;
    static constexpr int kQueriesI8 = 2;
    static constexpr bool kUnsignedCodes = true;
    static constexpr std::int32_t kQueryLimit = 127;

    VR_INLINE F32 set(float x) { return F32{x, x, x, x}; }
    VR_INLINE F32 floats(const float* p) { return load<F32>(p); }
    VR_INLINE F32 floats(const Float16* p) {
        return widen_float16<F32>(__builtin_convertvector(load<u16x4>(p), I32));
    }
    VR_INLINE F32 floats(const BFloat16* p) {
        return widen_bfloat16<F32>(__builtin_convertvector(load<u16x4>(p), I32));
    }
    template <class T>
    VR_INLINE f32x8 floats8(const T* p) {
        return joined(floats(p), floats(p + 4));
    }
    // The first n < 4 values, zeros behind.
    VR_INLINE F32 load_some(const float* p, int n) { return first_of_four(p, n); }
    template <class T>
    VR_INLINE F32 load_some(const T* p, int n) {
        return floats_tail<Generic>(p, n);
    }
    VR_INLINE F32 multiply_add(F32 a, F32 b, F32 c) { return c + a * b; }
    VR_INLINE std::uint64_t not_less(F32 a, F32 b) {
        const i32x4 less = a < b;  // false for NaN
        const i32x4 bit = ~less & i32x4{1, 2, 4, 8};
        return static_cast<std::uint64_t>(bit[0] | bit[1] | bit[2] | bit[3]);
    }
    VR_INLINE I32 set(std::int32_t x) { return I32{x, x, x, x}; }
    VR_INLINE F32 sqrt(F32 a) {
        return F32{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]),
                   __builtin_sqrtf(a[3])};
    }
    VR_INLINE F32 max(F32 a, F32 b) { return a > b ? a : b; }
    // (a & mask) | b
    VR_INLINE F32 blend_bits(F32 a, I32 mask, I32 b) { return (F32)(((I32)a & mask) | b); }
    VR_INLINE std::uint64_t at_least(I32 a, I32 b) {
        const i32x4 bit = (a >= b) & i32x4{1, 2, 4, 8};
        return static_cast<std::uint64_t>(bit[0] | bit[1] | bit[2] | bit[3]);
    }
    // Each product of a code and a query byte fits 16 bits (255 * 127); pairs are widened and
    // added.
    VR_INLINE I32 dot(I32 acc, I32 codes, I32 quad) {
        const i16x8 x = (i16x8)codes;
        const i16x8 q = (i16x8)quad;
        const I32 even = (I32)((x & 0xFF) * ((q << 8) >> 8));
        const I32 odd = (I32)((i16x8)((u16x8)x >> 8) * (q >> 8));
        return acc + ((even << 16) >> 16) + (even >> 16) + ((odd << 16) >> 16) + (odd >> 16);
    }
    VR_INLINE void transpose(F32 (&m)[4]) {
        F32 t[4];
        for (int r = 0; r < 4; ++r) t[r] = F32{m[0][r], m[1][r], m[2][r], m[3][r]};
        for (int r = 0; r < 4; ++r) m[r] = t[r];
    }
};

}  // namespace
}  // namespace vecrecall::kernels
