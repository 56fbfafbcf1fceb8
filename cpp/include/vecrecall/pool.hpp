// Pooling: rows of a table into one vector per bag.
#pragma once

#include <cstdint>

#include "vecrecall/views.hpp"

namespace vecrecall {

enum class Pooling { kSum, kMean, kMax };

struct PoolOptions {
    Pooling mode = Pooling::kSum;
    const double* weights = nullptr;  // one for each of the bags' values; null for 1
    std::int64_t first = -1;          // use only so many valid entries per bag; -1 for all
    bool normalize = false;           // to length 1; a zero vector stays zero
    int threads = 0;
};

// Row numbers of -1 are skipped; others outside the table throw std::out_of_range. A row used that
// holds NaN or an infinity throws std::invalid_argument. Accumulated in float64 in entry order,
// rounded once; an empty bag gives zeros. A table of half precision gives what it gives widened to
// float32.
void pool(const RowsView& table, const RaggedView<std::int64_t>& bags, const PoolOptions& options,
          float* out);

}  // namespace vecrecall
