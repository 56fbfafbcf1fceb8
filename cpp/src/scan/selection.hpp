// Finding the k-th largest bound without sorting anything.
#pragma once

#include <cstddef>

namespace vecrecall::scan {

// A value that at least k of the n values reach, at most a ten-thousandth of their range below the
// k-th largest; -infinity where fewer than k values are above -infinity. Values are not NaN.
float reached_by(const float* values, std::size_t n, std::size_t k);

}  // namespace vecrecall::scan
