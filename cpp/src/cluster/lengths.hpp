// Lengths of points, for the spherical side of clustering.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/scoring.hpp"
#include "kernels/table.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::cluster {

// 1 / |x| for some rows, 0 for a zero row.
inline std::vector<double> inverse_lengths(const kernels::KernelTable& table,
                                           const RowsView& points, const std::int64_t* rows,
                                           std::size_t n) {
    std::vector<double> wide(exact_width(points.dim));
    std::vector<double> inverse(n);
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        const RowPointer row = points.row(static_cast<std::size_t>(rows[i]));
        widen_query(row, points.dim, wide.data());
        const double length = norm(table, wide.data(), row, points.dim);
        inverse[i] = length > 0 ? 1.0 / length : 0.0;
    }
    return inverse;
}

}  // namespace vecrecall::cluster
