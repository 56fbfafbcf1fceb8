// One thread's search for the nearest centroids of every point, a tile at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/centroids.hpp"
#include "cluster/coded_tile.hpp"
#include "kernels/table.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::cluster {

// Points are shared out among threads in runs of so many.
inline constexpr std::size_t kPointsPerTask = 4096;

// Of one point. More are worth an index over the centroids.
inline constexpr std::size_t kMostNearest = 8;

inline std::size_t tasks_for(std::size_t points) {
    return (points + kPointsPerTask - 1) / kPointsPerTask;
}

inline MatrixView rows_of_task(const MatrixView& points, std::size_t task) {
    const std::size_t first = task * kPointsPerTask;
    const std::size_t left = points.rows - first;
    return {points.row(first), left < kPointsPerTask ? left : kPointsPerTask, points.dim};
}

// The tile that begins at a row, if any: what is read once the tile before it is done.
inline kernels::PrefetchRange upcoming_tile(const MatrixView& points, std::size_t first) {
    if (first >= points.rows) return {nullptr, 0};
    const std::size_t rows = points.rows - first < kTile ? points.rows - first : kTile;
    return {points.row(first), rows * points.dim * sizeof(float)};
}

class Nearest {
  public:
    explicit Nearest(const Centroids& centroids, std::size_t m = 1);

    // Rows to labels and scores, as `assign` gives them: m a row. Returns the number of the first
    // row that is not finite, or that of all rows.
    std::size_t find(const MatrixView& points, std::int32_t* labels, float* scores);
    // Labels and scores of at most kTile rows. Under l2 `known` may hold the exact squared
    // distances from the centroids that `labels` names, which then count as the nearest unless
    // others are nearer; m is 1 then. A scan is long enough to bring in what is needed next.
    void find_tile(const float* rows, std::size_t n_rows, const double* known, std::int32_t* labels,
                   float* scores, const kernels::PrefetchRange& prefetch);

  private:
    std::size_t first_nonfinite() const;
    void pack();
    void measure_lengths();
    bool scan_codes();
    void scan_floats();
    void set_tops(std::size_t in_group);
    void score_tops(std::size_t in_group);
    template <class Scan>
    void set_limits(const Scan& scan, std::size_t in_group);
    void set_thresholds(const kernels::PointTerms& points);
    void find_floors(const kernels::PointTerms& points, const kernels::ErrorTerms& groups,
                     std::size_t n_groups, float* floors) const;
    void set_thresholds(const kernels::PointTerms& points, const float* floors);
    void score_others(std::size_t n);
    void score_groups();
    void score_pairs(const kernels::Pair* pairs, std::size_t n);
    void score_all(std::size_t point);
    void take(std::size_t point, std::int32_t label, float score);

    const kernels::KernelTable& table_;
    const Centroids& centroids_;
    Metric metric_;
    std::size_t m_;
    std::vector<float> highest_;
    float top_[kTile];
    std::int32_t top_groups_[kTile];
    float thresholds_[kTile];
    std::vector<kernels::Pair> pairs_;
    std::vector<double> sums_;
    std::vector<float> panels_;
    CodedTile tile_;
    std::size_t skip_codes_ = 0;  // so many tiles, once a tile's codes have let too much pass

    // The tile at hand.
    const float* rows_ = nullptr;
    std::size_t n_rows_ = 0;
    std::uint64_t live_ = 0;
    const double* known_ = nullptr;
    kernels::PrefetchRange upcoming_{};
    double lengths_[kTile];  // |x|, for cosine
    kernels::Pair tops_[kTile];
    std::uint32_t tops_of_[kTile];
    double values_[kTile];  // exact, of the tops; under l2 the squared distance
    std::int32_t labels_[kTile * kMostNearest];  // m a point, best first
    float scores_[kTile * kMostNearest];
};

}  // namespace vecrecall::cluster
