// The types that rows may have. Kernels include this file: nothing of the standard library but
// integers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecrecall {

// float16 is that of IEEE 754; bfloat16 the upper half of a float32.
enum class RowType : std::uint8_t { kFloat32, kFloat16, kBFloat16 };

// Bytes of a value.
constexpr std::size_t value_size(RowType type) { return type == RowType::kFloat32 ? 4 : 2; }

// Values one after the other, of whichever type.
struct RowPointer {
    const void* data = nullptr;
    RowType type = RowType::kFloat32;

    constexpr RowPointer() = default;
    constexpr RowPointer(const float* values)
        : data(values) {}  // NOLINT(google-explicit-constructor)
    constexpr RowPointer(const void* values, RowType of) : data(values), type(of) {}

    // Past so many values.
    RowPointer operator+(std::size_t n) const {
        return {static_cast<const unsigned char*>(data) + n * value_size(type), type};
    }
};

}  // namespace vecrecall
