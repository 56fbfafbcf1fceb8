// Values of half precision, and what they are in float32, exactly. No step has a denormal float16
// as a denormal float32, so nothing of one is flushed.
#pragma once

#include "kernels/vectors.hpp"
#include "vecrecall/row_type.hpp"

namespace vecrecall::kernels {
namespace {

struct Float16 {
    std::uint16_t bits;
};
struct BFloat16 {
    std::uint16_t bits;
};

// A float16 has 5 bits of exponent and 10 of fraction, a float32 8 and 23. Moved up by 13 bits, the
// exponent lacks 127 - 15 = 112.
constexpr std::int32_t kMissingExponent = 112 << 23;
constexpr std::int32_t kLargestHalf = 0x7BFF << 13;  // what is above has no exponent
constexpr std::int32_t kInfiniteHalf = 0x7C00 << 13;
constexpr std::int32_t kSmallestNormalHalf = 0x0400 << 13;
constexpr std::int32_t kQuiet = 1 << 22;

// Lanes of 16 bits each in 32. Denormals are 2^-14 less: with its exponent they are normal floats.
template <class F, class I>
VR_INLINE F widen_float16(I half) {
    const I size = (half & 0x7FFF) << 13;
    const F tiny = (F)(size + (kMissingExponent + (1 << 23))) - 0x1p-14F;
    I wide = size + kMissingExponent;
    wide = size > kLargestHalf ? wide + kMissingExponent : wide;
    wide = size > kInfiniteHalf ? wide | kQuiet : wide;
    wide = size < kSmallestNormalHalf ? (I)tiny : wide;
    return (F)(wide | (half & 0x8000) << 16);
}

template <class F, class I>
VR_INLINE F widen_bfloat16(I half) {
    return (F)(half << 16);
}

// One at a time.
VR_INLINE float widened(float x) { return x; }
VR_INLINE float widened(BFloat16 x) {
    const std::uint32_t wide = std::uint32_t{x.bits} << 16;
    return load<float>(&wide);
}
VR_INLINE float widened(Float16 x) {
    const std::int32_t half = x.bits;
    const std::int32_t size = (half & 0x7FFF) << 13;
    const std::int32_t shifted = size + kMissingExponent + (1 << 23);
    const float tiny = load<float>(&shifted) - 0x1p-14F;
    std::int32_t wide = size + kMissingExponent;
    if (size > kLargestHalf) wide += kMissingExponent;
    if (size > kInfiniteHalf) wide |= kQuiet;
    if (size < kSmallestNormalHalf) wide = load<std::int32_t>(&tiny);
    const std::uint32_t all = static_cast<std::uint32_t>(wide) | (x.bits & 0x8000U) << 16;
    return load<float>(&all);
}

// Fewer values than a vector of the set has, zeros behind.
template <class S, class T>
VR_INLINE typename S::F32 floats_tail(const T* p, int count) {
    T padded[S::kLanes] = {};
    for (int j = 0; j < count; ++j) padded[j] = p[j];
    return S::floats(padded);
}

// Calls `run` with a pointer to values of the type that they are of.
template <class Run>
VR_INLINE auto by_type(RowPointer rows, const Run& run) {
    switch (rows.type) {
        case RowType::kFloat16: return run(static_cast<const Float16*>(rows.data));
        case RowType::kBFloat16: return run(static_cast<const BFloat16*>(rows.data));
        case RowType::kFloat32: break;
    }
    return run(static_cast<const float*>(rows.data));
}

}  // namespace
}  // namespace vecrecall::kernels
