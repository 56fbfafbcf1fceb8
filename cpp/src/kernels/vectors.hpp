// Vector types that every instruction set shares: the compiler lowers them to the registers it has.
// No member is a template of the standard library: see CONTRIBUTING, "Kernel files".
#pragma once

#include <cstddef>
#include <cstdint>

#define VR_INLINE static inline __attribute__((always_inline))

// Unrolled at once, so that an array of vectors becomes registers.
#if defined(__clang__)
#define VR_UNROLL _Pragma("unroll")
#else
#define VR_UNROLL _Pragma("GCC unroll 32")
#endif

namespace vecrecall::kernels {
namespace {

typedef float f32x2 __attribute__((vector_size(8)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef float f32x16 __attribute__((vector_size(64)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef double f64x4 __attribute__((vector_size(32)));
typedef std::int32_t i32x4 __attribute__((vector_size(16)));
typedef std::int32_t i32x8 __attribute__((vector_size(32)));
typedef std::int32_t i32x16 __attribute__((vector_size(64)));
typedef std::uint16_t u16x4 __attribute__((vector_size(8)));
typedef std::uint8_t u8x4 __attribute__((vector_size(4)));
typedef std::uint8_t u8x8 __attribute__((vector_size(8)));
typedef std::int16_t i16x8 __attribute__((vector_size(16)));
typedef std::uint16_t u16x8 __attribute__((vector_size(16)));

template <class V, class T>
VR_INLINE V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof(V));
    return v;
}

template <class V, class T>
VR_INLINE void store(T* p, V v) {
    __builtin_memcpy(p, &v, sizeof(V));
}

template <class T>
VR_INLINE void prefetch_row(const T* row, std::size_t dim) {
    // 64-byte lines; the hardware follows a longer row by itself.
    constexpr std::size_t kInLine = 64 / sizeof(T);
    const std::size_t lines = dim < 8 * kInLine ? (dim + kInLine - 1) / kInLine : 8;
    for (std::size_t l = 0; l < lines; ++l) __builtin_prefetch(row + kInLine * l, 0, 2);
    __builtin_prefetch(row + dim - 1, 0, 2);  // rows need not begin with a line
}

}  // namespace
}  // namespace vecrecall::kernels
