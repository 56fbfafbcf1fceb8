// Labels to new centroids, from labels to old ones.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/nearest.hpp"

namespace vecrecall::cluster {

// Per centroid a quarter of the squared distance to the nearest other, less what rounding could
// add: a point whose squared distance is below that has no nearer centroid (Hamerly 2010), nor one
// that scores the same.
std::vector<double> safe_distances(const MatrixView& centroids, int threads);

// One thread's pass over points, under l2.
class HamerlyPruner {
  public:
    // `safe` as above, or empty.
    HamerlyPruner(const kernels::KernelTable& table, const Centroids& centroids,
                  const std::vector<double>& safe);

    // Replaces labels. Returns how many points needed a scan.
    std::size_t run(const RowsView& points, std::int32_t* labels, float* scores);

  private:
    void measure(RowPointer rows, std::size_t n, const std::int32_t* labels);
    std::uint64_t safe_points(std::size_t n, const std::int32_t* labels) const;
    void scan(RowPointer rows, std::size_t n, const double* known, std::int32_t* labels,
              float* scores);
    void keep_waiting(RowPointer row, std::size_t place, std::int32_t label, double distance);
    void scan_waiting(std::int32_t* labels, float* scores);

    const kernels::KernelTable& table_;
    const Centroids& centroids_;
    const std::vector<double>& safe_;
    Nearest nearest_;
    double distances_[kTile];            // squared, exact
    kernels::PrefetchRange upcoming_{};  // not yet fetched

    // Points that need a scan, of tiles where others need none, until they fill a tile. Widened.
    std::size_t waiting_ = 0;
    std::vector<float> rows_;
    std::size_t places_[kTile];
    std::int32_t labels_[kTile];
    double known_[kTile];
};

}  // namespace vecrecall::cluster
