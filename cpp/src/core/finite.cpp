#include "core/finite.hpp"

#include <cstdint>
#include <cstring>

namespace vecrecall {
namespace {

// Integer work over whole arrays, so that the compiler vectorizes it.
template <class Bits>
bool finite(const void* data, std::size_t n, Bits exponent) {
    Bits bad = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Bits bits;
        std::memcpy(&bits, static_cast<const unsigned char*>(data) + i * sizeof(Bits),
                    sizeof(Bits));
        bad |= static_cast<Bits>((bits & exponent) == exponent);
    }
    return bad == 0;
}

template <class Bits>
bool zero(const void* data, std::size_t n) {
    Bits any = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Bits bits;
        std::memcpy(&bits, static_cast<const unsigned char*>(data) + i * sizeof(Bits),
                    sizeof(Bits));
        any |= bits;
    }
    return static_cast<Bits>(any << 1) == 0;  // but for the sign
}

}  // namespace

// All exponent bits set: NaN or infinity.
bool all_finite(RowPointer values, std::size_t n) {
    switch (values.type) {
        case RowType::kFloat32: break;
        case RowType::kFloat16: return finite<std::uint16_t>(values.data, n, 0x7C00U);
        case RowType::kBFloat16: return finite<std::uint16_t>(values.data, n, 0x7F80U);
    }
    return finite<std::uint32_t>(values.data, n, 0x7F800000U);
}

bool all_zero(RowPointer values, std::size_t n) {
    return values.type == RowType::kFloat32 ? zero<std::uint32_t>(values.data, n)
                                            : zero<std::uint16_t>(values.data, n);
}

}  // namespace vecrecall
