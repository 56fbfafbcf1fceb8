// Points between centroids that score the same.
#pragma once

#include <cstdint>
#include <vector>

#include "core/scoring.hpp"
#include "kernels/table.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::cluster {

// `keep_ties` of one thread: few points get new labels, and only those are scored.
inline void keep_ties_of(const kernels::KernelTable& table, const RowsView& points,
                         const ScoredItems& centroids, const std::int32_t* held,
                         std::int32_t* labels, const float* scores) {
    std::vector<double> wide(exact_width(points.dim));
    for (std::size_t i = 0; i < points.rows; ++i) {
        if (held[i] < 0 || labels[i] < 0 || labels[i] == held[i]) continue;
        const auto row = static_cast<std::uint32_t>(held[i]);
        float score = 0;
        widen_query(points.row(i), points.dim, wide.data());
        const double length = norm(table, wide.data(), points.row(i), points.dim);
        score_rows(table, centroids, wide.data(), length, &row, 1, &score);
        if (score == scores[i]) labels[i] = held[i];
    }
}

}  // namespace vecrecall::cluster
