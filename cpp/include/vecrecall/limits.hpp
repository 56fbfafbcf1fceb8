// The limits of this machine, to compare speeds with.
#pragma once

#include <optional>

namespace vecrecall {

// In billions of multiply-adds per second, over all threads together.
struct ProductLimits {
    double f32;
    double i8;                         // by the matrix unit where the set in use has one
    std::optional<double> i8_vectors;  // by the vectors of such a set
};

// Takes some tenths of a second, with the instruction set in use. Other work on the machine shows
// in it, for a matrix unit also that of another thread of the processor core.
ProductLimits product_limits(int threads = 0);

// In billions of bytes per second from memory, over all threads together. Takes half a second and
// 128 MB a thread.
double read_limit(int threads = 0);

}  // namespace vecrecall
