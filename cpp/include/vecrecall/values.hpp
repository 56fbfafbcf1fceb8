// Checks of the values of matrices: those not finite, those beyond float32.
#pragma once

#include <cstdint>

#include "vecrecall/views.hpp"

namespace vecrecall {

// The first row with NaN or an infinity, or -1.
std::int64_t first_nonfinite_row(const MatrixView& matrix, int threads = 0);

// Per row 1 where all values are finite, else 0.
void finite_rows(const MatrixView& matrix, std::uint8_t* finite, int threads = 0);

// The first row of zeros, or -1. Looks at bits: no flushing of denormals can mislead it.
std::int64_t first_zero_row(const MatrixView& matrix, int threads = 0);

// Per row 1 where all values are zero, else 0; looks at bits, too.
void zero_rows(const MatrixView& matrix, std::uint8_t* zero, int threads = 0);

// Rounds to the nearest float32. Returns the first row where a finite value overflows, or -1.
std::int64_t narrow(const double* wide, std::size_t rows, std::size_t dim, float* narrow,
                    int threads = 0);

}  // namespace vecrecall
