// Traits for AArch64 with dot product: thirty-two registers of four lanes.
#pragma once

#include <arm_neon.h>

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

struct Neon {
    using F32 = f32x4;
    static constexpr int kLanes = 4;
    static constexpr std::size_t kGroup = 16;
    static constexpr int kQueries = 6;  // 24 accumulators, 4 panels, 1 broadcast of 32
    static constexpr int kPoolVectors = 4;
    static constexpr bool kCompresses = false;
    using I32 = i32x4;
    static constexpr int kQueriesI8 = 6;
    static constexpr bool kUnsignedCodes = false;
    static constexpr std::int32_t kQueryLimit = 127;

    VR_INLINE F32 set(float x) { return (F32)vdupq_n_f32(x); }
    VR_INLINE F32 floats(const float* p) { return load<F32>(p); }
    VR_INLINE F32 floats(const Float16* p) { return (F32)vcvt_f32_f16(load<float16x4_t>(p)); }
    VR_INLINE F32 floats(const BFloat16* p) {
        return widen_bfloat16<F32>((I32)vmovl_u16(load<uint16x4_t>(p)));
    }
    template <class T>
    VR_INLINE f32x8 floats8(const T* p) {
        return joined(floats(p), floats(p + 4));
    }
    // The first n < 4 values, zeros behind.
    VR_INLINE F32 load_some(const float* p, int n) { return first_of_four(p, n); }
    template <class T>
    VR_INLINE F32 load_some(const T* p, int n) {
        return floats_tail<Neon>(p, n);
    }
    VR_INLINE F32 multiply_add(F32 a, F32 b, F32 c) {
        return (F32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
    }
    VR_INLINE std::uint64_t not_less(F32 a, F32 b) {
        const uint32x4_t less = vcltq_f32((float32x4_t)a, (float32x4_t)b);  // false for NaN
        const uint32x4_t bits = {1, 2, 4, 8};
        return vaddvq_u32(vbicq_u32(bits, less));
    }
    VR_INLINE I32 set(std::int32_t x) { return (I32)vdupq_n_s32(x); }
    VR_INLINE F32 sqrt(F32 a) { return (F32)vsqrtq_f32((float32x4_t)a); }
    VR_INLINE F32 max(F32 a, F32 b) { return (F32)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
    // (a & mask) | b
    VR_INLINE F32 blend_bits(F32 a, I32 mask, I32 b) { return (F32)(((I32)a & mask) | b); }
    VR_INLINE std::uint64_t at_least(I32 a, I32 b) {
        const uint32x4_t bits = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(bits, vcgeq_s32((int32x4_t)a, (int32x4_t)b)));
    }
    // The sign bit flipped makes c + 128 the signed c.
    VR_INLINE I32 dot(I32 acc, I32 codes, I32 quad) {
        const uint8x16_t flipped = veorq_u8((uint8x16_t)codes, vdupq_n_u8(0x80));
        return (I32)vdotq_s32((int32x4_t)acc, vreinterpretq_s8_u8(flipped), (int8x16_t)quad);
    }
    VR_INLINE void transpose(F32 (&m)[4]) {
        const float32x4_t a = vtrn1q_f32((float32x4_t)m[0], (float32x4_t)m[1]);
        const float32x4_t b = vtrn2q_f32((float32x4_t)m[0], (float32x4_t)m[1]);
        const float32x4_t c = vtrn1q_f32((float32x4_t)m[2], (float32x4_t)m[3]);
        const float32x4_t d = vtrn2q_f32((float32x4_t)m[2], (float32x4_t)m[3]);
        m[0] = (F32)vcombine_f32(vget_low_f32(a), vget_low_f32(c));
        m[1] = (F32)vcombine_f32(vget_low_f32(b), vget_low_f32(d));
        m[2] = (F32)vcombine_f32(vget_high_f32(a), vget_high_f32(c));
        m[3] = (F32)vcombine_f32(vget_high_f32(b), vget_high_f32(d));
    }
};

}  // namespace
}  // namespace vecrecall::kernels
