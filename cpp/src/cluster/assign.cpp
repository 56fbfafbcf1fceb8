#include "vecrecall/assign.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "cluster/nearest.hpp"
#include "cluster/ties.hpp"
#include "kernels/registry.hpp"
#include "platform/fp_env.hpp"
#include "vecrecall/flat_index.hpp"
#include "vecrecall/parallel.hpp"
#include "vecrecall/values.hpp"

namespace vecrecall {
namespace {

[[noreturn]] void throw_not_finite(std::size_t row) {
    throw std::invalid_argument("points: expected finite values, got NaN or infinity in row " +
                                std::to_string(row));
}

void assign_nearest(const MatrixView& points, const MatrixView& centroids, Metric metric,
                    std::size_t m, std::int32_t* labels, float* scores, int threads) {
    const kernels::KernelTable& table = kernels::active();
    const search::Center center = search::choose_center(table, {centroids}, metric);
    const cluster::Centroids coded(table, centroids, metric, center, threads);
    std::vector<std::size_t> finite(cluster::tasks_for(points.rows));
    parallel_for(finite.size(), threads, [&](std::size_t task) {
        const std::size_t first = task * cluster::kPointsPerTask;
        finite[task] = cluster::Nearest(coded, m).find(cluster::rows_of_task(points, task),
                                                       labels + first * m, scores + first * m);
    });
    for (std::size_t task = 0; task < finite.size(); ++task) {
        const std::size_t row = task * cluster::kPointsPerTask + finite[task];
        if (finite[task] < cluster::rows_of_task(points, task).rows) throw_not_finite(row);
    }
}

// Many a point: a search over the centroids.
void assign_many(const MatrixView& points, const MatrixView& centroids, Metric metric,
                 std::size_t m, std::int32_t* labels, float* scores, int threads) {
    constexpr std::size_t kChunk = 65536;
    const std::int64_t row = first_nonfinite_row(points, threads);
    if (row >= 0) throw_not_finite(static_cast<std::size_t>(row));
    const FlatIndex index({.rows = centroids}, metric, {.copy = false, .threads = threads});
    std::vector<std::int64_t> ids(std::min(kChunk, points.rows) * m);
    std::vector<std::int32_t> counts(std::min(kChunk, points.rows));
    for (std::size_t first = 0; first < points.rows; first += kChunk) {
        const std::size_t n = std::min(kChunk, points.rows - first);
        index.search({points.row(first), n, points.dim}, {.k = m, .threads = threads},
                     {ids.data(), scores + first * m, counts.data(), n, m});
        std::copy_n(ids.begin(), n * m, labels + first * m);
    }
}

}  // namespace

void keep_ties(const MatrixView& points, const MatrixView& centroids, Metric metric,
               const std::int32_t* held, std::int32_t* labels, const float* scores, int threads) {
    const FpEnvScope env;
    const ScoredItems items{.rows = centroids, .bias = nullptr, .metric = metric};
    parallel_for(cluster::tasks_for(points.rows), threads, [&](std::size_t task) {
        const std::size_t first = task * cluster::kPointsPerTask;
        const MatrixView rows = cluster::rows_of_task(points, task);
        cluster::keep_ties_of(kernels::active(), rows, items, held + first, labels + first,
                              scores + first);
    });
}

void assign(const MatrixView& points, const MatrixView& centroids, Metric metric, std::size_t m,
            std::int32_t* labels, float* scores, int threads) {
    const FpEnvScope env;
    if (points.rows == 0 || m == 0) return;
    if (m <= cluster::kMostNearest) {
        assign_nearest(points, centroids, metric, m, labels, scores, threads);
    } else {
        assign_many(points, centroids, metric, m, labels, scores, threads);
    }
}

}  // namespace vecrecall
