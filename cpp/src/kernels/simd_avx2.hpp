// Traits for x86-64-v3: AVX2 and FMA, sixteen registers of eight lanes.
#pragma once

#include <immintrin.h>

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

struct Avx2 {
    using F32 = f32x8;
    static constexpr int kLanes = 8;
    static constexpr std::size_t kGroup = 16;
    static constexpr int kQueries = 6;      // 12 accumulators, 2 panels, 1 broadcast of 16
    static constexpr int kPoolVectors = 4;  // 8 accumulators
    static constexpr bool kCompresses = false;
    using I32 = i32x8;
    static constexpr int kQueriesI8 = 4;  // 8 accumulators, 2 panels, 1 broadcast, ones, 2 spare
    static constexpr bool kUnsignedCodes = true;
    static constexpr std::int32_t kQueryLimit = 63;  // pairs of products fit 16 bits

    VR_INLINE F32 set(float x) { return (F32)_mm256_set1_ps(x); }
    VR_INLINE f32x8 floats8(const float* p) { return load<f32x8>(p); }
    VR_INLINE f32x8 floats8(const Float16* p) { return (f32x8)_mm256_cvtph_ps(load<__m128i>(p)); }
    VR_INLINE f32x8 floats8(const BFloat16* p) {
        return widen_bfloat16<f32x8>((i32x8)_mm256_cvtepu16_epi32(load<__m128i>(p)));
    }
    template <class T>
    VR_INLINE F32 floats(const T* p) {
        return floats8(p);
    }
    // The first n < 8 values, zeros behind.
    VR_INLINE F32 load_some(const float* p, int n) { return first_floats(p, n); }
    template <class T>
    VR_INLINE F32 load_some(const T* p, int n) {
        return floats_tail<Avx2>(p, n);
    }
    VR_INLINE F32 multiply_add(F32 a, F32 b, F32 c) {
        return (F32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    }
    VR_INLINE std::uint64_t not_less(F32 a, F32 b) {
        return static_cast<std::uint32_t>(
            _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_NLT_UQ)));
    }
    VR_INLINE I32 set(std::int32_t x) { return (I32)_mm256_set1_epi32(x); }
    VR_INLINE F32 sqrt(F32 a) { return (F32)_mm256_sqrt_ps((__m256)a); }
    VR_INLINE F32 max(F32 a, F32 b) { return (F32)_mm256_max_ps((__m256)a, (__m256)b); }
    // (a & mask) | b
    VR_INLINE F32 blend_bits(F32 a, I32 mask, I32 b) { return (F32)(((I32)a & mask) | b); }
    VR_INLINE std::uint64_t at_least(I32 a, I32 b) {
        const __m256i less = _mm256_cmpgt_epi32((__m256i)b, (__m256i)a);
        return 0xFFU ^ static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(less)));
    }
    VR_INLINE I32 dot(I32 acc, I32 codes, I32 quad) {
        const __m256i pairs = _mm256_maddubs_epi16((__m256i)codes, (__m256i)quad);
        return acc + (I32)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    VR_INLINE void transpose(F32 (&m)[8]) {
        __m256 t[8];
        __m256 u[8];
        for (int i = 0; i < 8; i += 2) {
            t[i] = _mm256_unpacklo_ps((__m256)m[i], (__m256)m[i + 1]);
            t[i + 1] = _mm256_unpackhi_ps((__m256)m[i], (__m256)m[i + 1]);
        }
        for (int i = 0; i < 8; i += 4) {
            for (int h = 0; h < 2; ++h) {
                u[i + 2 * h] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
                u[i + 2 * h + 1] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0xEE);
            }
        }
        for (int i = 0; i < 4; ++i) {
            m[i] = (F32)_mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
            m[i + 4] = (F32)_mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
        }
    }
};

}  // namespace
}  // namespace vecrecall::kernels
