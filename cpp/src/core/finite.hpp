// Values that are finite, or zero. Bits are looked at: no flushing of denormals can mislead it.
#pragma once

#include <cstddef>

#include "vecrecall/row_type.hpp"

namespace vecrecall {

bool all_finite(RowPointer values, std::size_t n);
bool all_zero(RowPointer values, std::size_t n);

}  // namespace vecrecall
