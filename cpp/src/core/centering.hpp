// The center that a scan subtracts from rows: the shorter what is left, the finer its codes.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/table.hpp"
#include "search/rows.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

// The row-wise kernels read queries and center in whole vectors.
inline std::size_t padded_dim(std::size_t dim) { return (dim + 15) / 16 * 16; }

struct Center {
    std::vector<float> narrow;  // zero-padded to padded_dim
    std::vector<double> wide;   // the same numbers, zero-padded to exact_width
    double norm;                // an upper bound
    // center / |center|, zero-padded likewise; empty unless most of a row lies along it. Scans then
    // keep that part of rows and queries apart from their codes.
    std::vector<double> direction;
};

Center no_center(std::size_t dim);

// At a given point, one number per dimension.
Center center_at(const kernels::KernelTable& table, const float* point, std::size_t dim);

// The same with its direction; as it is where the center is zero.
Center with_direction(Center center);

// The mean of a sample (under cosine of rows of length one), where that brings the typical row
// closer; else zero: one huge row can drag the mean away from all the others.
Center choose_center(const kernels::KernelTable& table, const Rows& rows, Metric metric);

}  // namespace vecrecall::search
