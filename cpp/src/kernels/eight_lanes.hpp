// Eight floats or doubles, in one register or in as many as they take.
#pragma once

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include "kernels/vectors.hpp"

namespace vecrecall::kernels {
namespace {

// GCC keeps a vector that is wider than a register in memory, and copies it word by word at every
// step: what is made of registers stays in them.
template <class V>
struct Halves {
    V low;
    V high;
};

template <class V>
VR_INLINE Halves<V> operator+(Halves<V> a, Halves<V> b) {
    return {a.low + b.low, a.high + b.high};
}
template <class V>
VR_INLINE Halves<V> operator-(Halves<V> a, Halves<V> b) {
    return {a.low - b.low, a.high - b.high};
}
template <class V>
VR_INLINE Halves<V> operator*(Halves<V> a, Halves<V> b) {
    return {a.low * b.low, a.high * b.high};
}
template <class V, class T>
VR_INLINE Halves<V> operator+(Halves<V> a, T b) {
    return {a.low + b, a.high + b};
}
template <class V, class T>
VR_INLINE Halves<V> operator-(Halves<V> a, T b) {
    return {a.low - b, a.high - b};
}
template <class V, class T>
VR_INLINE Halves<V> operator*(Halves<V> a, T b) {
    return {a.low * b, a.high * b};
}
template <class V>
VR_INLINE Halves<V> operator-(Halves<V> a) {
    return {-a.low, -a.high};
}
template <class V>
VR_INLINE void operator+=(Halves<V>& a, Halves<V> b) {
    a = a + b;
}

// Of equal ones, and where one is no number, the second.
template <class V>
VR_INLINE V larger(V a, V b) {
    return a > b ? a : b;
}
template <class V>
VR_INLINE Halves<V> larger(Halves<V> a, Halves<V> b) {
    return {larger(a.low, b.low), larger(a.high, b.high)};
}
template <class V>
VR_INLINE V smaller(V a, V b) {
    return a < b ? a : b;
}
template <class V>
VR_INLINE Halves<V> smaller(Halves<V> a, Halves<V> b) {
    return {smaller(a.low, b.low), smaller(a.high, b.high)};
}

template <class V>
VR_INLINE V folded(Halves<V> a) {
    return a.low + a.high;
}
VR_INLINE f64x2 folded(f64x4 a) {
    f64x2 half[2];
    __builtin_memcpy(half, &a, sizeof(a));
    return half[0] + half[1];
}

// The first n < 4 values, zeros behind.
VR_INLINE f32x4 first_of_four(const float* p, int n) {
    return f32x4{n > 0 ? p[0] : 0.0F, n > 1 ? p[1] : 0.0F, n > 2 ? p[2] : 0.0F, 0.0F};
}

#if defined(__AVX__)
typedef float f32x8 __attribute__((vector_size(32)));

VR_INLINE f32x8 joined(f32x4 low, f32x4 high) {
    const f32x4 half[2] = {low, high};
    return load<f32x8>(half);
}
constexpr std::int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
// The first n < 8 values, zeros behind. Not from a copy that is padded: a load over what several
// stores have just written has to wait for all of them.
VR_INLINE f32x8 first_floats(const float* p, int n) {
    return (f32x8)_mm256_maskload_ps(p, load<__m256i>(kFirstLanes + 8 - n));
}
#else
typedef Halves<f32x4> f32x8;

VR_INLINE f32x8 joined(f32x4 low, f32x4 high) { return {low, high}; }
VR_INLINE f32x8 first_floats(const float* p, int n) {
    if (n < 4) return {first_of_four(p, n), f32x4{}};
    return {load<f32x4>(p), first_of_four(p + 4, n - 4)};
}
#endif

#if defined(__AVX512F__)

typedef double f64x8 __attribute__((vector_size(64)));

VR_INLINE f64x4 folded(f64x8 a) {
    f64x4 half[2];
    __builtin_memcpy(half, &a, sizeof(a));
    return half[0] + half[1];
}
VR_INLINE f64x8 doubles_at(const double* p) { return load<f64x8>(p); }
// GCC 12 makes four instructions of the built-in conversion.
VR_INLINE f64x8 to_doubles(f32x8 x) { return (f64x8)_mm512_cvtps_pd((__m256)x); }
VR_INLINE f32x8 to_floats(f64x8 x) { return __builtin_convertvector(x, f32x8); }
// Integers from 0 to 255.
VR_INLINE void to_bytes(f64x8 x, std::uint32_t* quads) {
    const u8x8 bytes = __builtin_convertvector(__builtin_convertvector(x, i32x8), u8x8);
    __builtin_memcpy(quads, &bytes, sizeof(bytes));
}

#else

#if defined(__AVX__)

typedef Halves<f64x4> f64x8;

VR_INLINE f64x4 four_at(const double* p) { return load<f64x4>(p); }
// GCC 12 makes several instructions of the built-in conversions.
VR_INLINE f64x4 four_doubles(f32x4 x) { return (f64x4)_mm256_cvtps_pd((__m128)x); }
VR_INLINE f32x4 four_floats(f64x4 x) { return (f32x4)_mm256_cvtpd_ps((__m256d)x); }
VR_INLINE std::uint32_t four_bytes(f64x4 x) {
    const __m128i first =
        _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i bytes = _mm_shuffle_epi8(_mm256_cvttpd_epi32((__m256d)x), first);
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(bytes));
}

#else

typedef Halves<Halves<f64x2> > f64x8;

VR_INLINE Halves<f64x2> four_at(const double* p) { return {load<f64x2>(p), load<f64x2>(p + 2)}; }
VR_INLINE Halves<f64x2> four_doubles(f32x4 x) {
    f32x2 half[2];
    __builtin_memcpy(half, &x, sizeof(x));
    return {__builtin_convertvector(half[0], f64x2), __builtin_convertvector(half[1], f64x2)};
}
VR_INLINE f32x4 four_floats(Halves<f64x2> x) {
    const f32x2 half[2] = {__builtin_convertvector(x.low, f32x2),
                           __builtin_convertvector(x.high, f32x2)};
    return load<f32x4>(half);
}
VR_INLINE std::uint32_t four_bytes(Halves<f64x2> x) {
    const i32x4 whole = {static_cast<std::int32_t>(x.low[0]), static_cast<std::int32_t>(x.low[1]),
                         static_cast<std::int32_t>(x.high[0]),
                         static_cast<std::int32_t>(x.high[1])};
    const u8x4 bytes = __builtin_convertvector(whole, u8x4);
    return load<std::uint32_t>(&bytes);
}

#endif

VR_INLINE f64x8 doubles_at(const double* p) { return {four_at(p), four_at(p + 4)}; }
VR_INLINE f64x8 to_doubles(f32x8 x) {
    f32x4 half[2];
    __builtin_memcpy(half, &x, sizeof(x));
    return {four_doubles(half[0]), four_doubles(half[1])};
}
VR_INLINE f32x8 to_floats(f64x8 x) { return joined(four_floats(x.low), four_floats(x.high)); }
// Integers from 0 to 255.
VR_INLINE void to_bytes(f64x8 x, std::uint32_t* quads) {
    quads[0] = four_bytes(x.low);
    quads[1] = four_bytes(x.high);
}

#endif

VR_INLINE f64x8 to_doubles(f64x8 x) { return x; }
VR_INLINE f32x8 to_floats(f32x8 x) { return x; }

// Fewer than eight values, zeros behind.
template <class S>
VR_INLINE f32x8 floats8_tail(const float* p, std::size_t count) {
    return first_floats(p, static_cast<int>(count));
}
template <class S, class T>
VR_INLINE f32x8 floats8_tail(const T* p, std::size_t count) {
    T padded[8] = {};
    for (std::size_t j = 0; j < count; ++j) padded[j] = p[j];
    return S::floats8(padded);
}

template <class S, class T>
VR_INLINE f64x8 widen8(const T* p) {
    return to_doubles(S::floats8(p));
}
template <class S, class T>
VR_INLINE f64x8 widen_tail(const T* p, std::size_t count) {
    return to_doubles(floats8_tail<S>(p, count));
}

// ((a0+a4)+(a2+a6)) + ((a1+a5)+(a3+a7)): the order that fixes the score bits.
VR_INLINE double reduce8(f64x8 a) {
    const f64x2 b = folded(folded(a));
    return b[0] + b[1];
}

}  // namespace
}  // namespace vecrecall::kernels
