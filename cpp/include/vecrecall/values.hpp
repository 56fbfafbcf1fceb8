// Checks of the values of rows: those not finite, those beyond the type that they are rounded to.
#pragma once

#include <cstdint>

#include "vecrecall/views.hpp"

namespace vecrecall {

// The first row with NaN or an infinity, or -1.
std::int64_t first_nonfinite_row(const RowsView& rows, int threads = 0);

// Per row 1 where all values are finite, else 0.
void finite_rows(const RowsView& rows, std::uint8_t* finite, int threads = 0);

// The first row of zeros, or -1. Looks at bits: no flushing of denormals can mislead it.
std::int64_t first_zero_row(const RowsView& rows, int threads = 0);

// Per row 1 where all values are zero, else 0; looks at bits, too.
void zero_rows(const RowsView& rows, std::uint8_t* zero, int threads = 0);

// Rounds to the nearest float32. Returns the first row where a finite value overflows, or -1.
std::int64_t narrow(const double* wide, std::size_t rows, std::size_t dim, float* narrow,
                    int threads = 0);

// The error of rows that are rounded: of each value |rounded - x| / |x|, where x is finite and
// not zero. A value that becomes zero loses all of itself.
struct RoundingLoss {
    double largest = 0;
    double mean = 0;
    std::int64_t overflow = -1;  // the first row where a finite value becomes an infinity, or -1
};

// Rounds to the nearest value of half precision, of two as near to the even one. The same numbers
// from any number of threads.
RoundingLoss round_rows(const MatrixView& rows, RowType half, std::uint16_t* out, int threads = 0);
// In one rounding, not in two by way of float32.
RoundingLoss round_rows(const double* rows, std::size_t n, std::size_t dim, RowType half,
                        std::uint16_t* out, int threads = 0);

}  // namespace vecrecall
