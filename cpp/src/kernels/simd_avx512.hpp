// Traits for x86-64-v4: AVX-512, thirty-two registers of sixteen lanes.
#pragma once

#include <immintrin.h>

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

struct Avx512 {
    // Not __m512: its may_alias makes GCC 12 spill the accumulators at every step.
    using F32 = f32x16;
    static constexpr int kLanes = 16;
    static constexpr std::size_t kGroup = 64;
    static constexpr int kQueries = 6;  // 24 accumulators, 4 panels, 1 broadcast of 32
    static constexpr int kPoolVectors = 8;
    static constexpr bool kCompresses = true;
    using I32 = i32x16;
    static constexpr int kQueriesI8 = 6;
    static constexpr bool kUnsignedCodes = true;

    VR_INLINE F32 set(float x) { return (F32)_mm512_set1_ps(x); }
    VR_INLINE f32x8 floats8(const float* p) { return load<f32x8>(p); }
    VR_INLINE f32x8 floats8(const Float16* p) { return (f32x8)_mm256_cvtph_ps(load<__m128i>(p)); }
    VR_INLINE f32x8 floats8(const BFloat16* p) {
        return widen_bfloat16<f32x8>((i32x8)_mm256_cvtepu16_epi32(load<__m128i>(p)));
    }
    VR_INLINE F32 floats(const float* p) { return load<F32>(p); }
    VR_INLINE F32 floats(const Float16* p) { return (F32)_mm512_cvtph_ps(load<__m256i>(p)); }
    VR_INLINE F32 floats(const BFloat16* p) {
        return widen_bfloat16<F32>((I32)_mm512_cvtepu16_epi32(load<__m256i>(p)));
    }
    // The first n < 16 values, zeros behind.
    VR_INLINE F32 load_some(const float* p, int n) {
        return (F32)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1), p);
    }
    template <class T>
    VR_INLINE F32 load_some(const T* p, int n) {
        return floats_tail<Avx512>(p, n);
    }
    VR_INLINE F32 multiply_add(F32 a, F32 b, F32 c) {
        return (F32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    }
    VR_INLINE std::uint64_t not_less(F32 a, F32 b) {
        return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_NLT_UQ);
    }
    // The numbers of the lanes that reach the floor, from `first`, and rubbish up to a whole
    // vector. Not compressed by the store itself: some processors take a hundred cycles for that.
    VR_INLINE std::size_t write_reaching(F32 a, float floor, std::uint32_t first,
                                         std::uint32_t* to) {
        const __m512i lanes =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first)));
        const __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, _mm512_set1_ps(floor), _CMP_GE_OQ);
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask, numbers));
        return static_cast<std::size_t>(__builtin_popcount(mask));
    }
    VR_INLINE I32 set(std::int32_t x) { return (I32)_mm512_set1_epi32(x); }
    VR_INLINE F32 sqrt(F32 a) { return (F32)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)a); }
    VR_INLINE F32 max(F32 a, F32 b) { return (F32)_mm512_max_ps((__m512)a, (__m512)b); }
    // (a & mask) | b
    VR_INLINE F32 blend_bits(F32 a, I32 mask, I32 b) {
        return (F32)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)mask, (__m512i)b, 0xEA);
    }
    VR_INLINE std::uint64_t at_least(I32 a, I32 b) {
        return _mm512_cmpge_epi32_mask((__m512i)a, (__m512i)b);
    }
    VR_INLINE void transpose(F32 (&m)[16]) {
        __m512 t[16];
        __m512 u[16];
        for (int i = 0; i < 16; i += 2) {
            t[i] = _mm512_unpacklo_ps((__m512)m[i], (__m512)m[i + 1]);
            t[i + 1] = _mm512_unpackhi_ps((__m512)m[i], (__m512)m[i + 1]);
        }
        for (int i = 0; i < 16; i += 4) {
            for (int h = 0; h < 2; ++h) {
                u[i + 2 * h] = _mm512_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
                u[i + 2 * h + 1] = _mm512_shuffle_ps(t[i + h], t[i + 2 + h], 0xEE);
            }
        }
        // u[4g + c] holds columns c, c+4, c+8, c+12 of rows 4g..4g+3, one in each 128-bit lane.
        for (int c = 0; c < 4; ++c) {
            const __m512 a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88);
            const __m512 b = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
            const __m512 d = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xDD);
            const __m512 e = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xDD);
            m[c] = (F32)_mm512_shuffle_f32x4(a, b, 0x88);
            m[c + 8] = (F32)_mm512_shuffle_f32x4(a, b, 0xDD);
            m[c + 4] = (F32)_mm512_shuffle_f32x4(d, e, 0x88);
            m[c + 12] = (F32)_mm512_shuffle_f32x4(d, e, 0xDD);
        }
    }
};

// Without VNNI: products of bytes are added in pairs in 16 bits, where 2 * 255 * 64 just fits.
struct Avx512Pairs : Avx512 {
    static constexpr std::int32_t kQueryLimit = 63;
    VR_INLINE I32 dot(I32 acc, I32 codes, I32 quad) {
        const __m512i pairs = _mm512_maddubs_epi16((__m512i)codes, (__m512i)quad);
        return acc + (I32)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
    }
};

#if defined(__AVX512VNNI__)
struct Avx512Vnni : Avx512 {
    static constexpr std::int32_t kQueryLimit = 127;
    VR_INLINE I32 dot(I32 acc, I32 codes, I32 quad) {
        return (I32)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)codes, (__m512i)quad);
    }
};
#endif

}  // namespace
}  // namespace vecrecall::kernels
