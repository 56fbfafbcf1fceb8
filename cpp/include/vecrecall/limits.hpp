// The limits of this machine, to compare speeds with.
#pragma once

namespace vecrecall {

// In billions a second, over all threads together.
struct MachineLimits {
    double f32_products;  // float32 multiply-adds
    double i8_products;   // int8 multiply-adds
    double bytes_read;    // from memory
};

// Takes about a second, with the instruction set in use. Other work on the machine shows in it.
MachineLimits machine_limits(int threads = 0);

}  // namespace vecrecall
