// One thread's search for the nearest centroid of every point, a tile at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/centroids.hpp"
#include "cluster/coded_points.hpp"
#include "kernels/table.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::cluster {

class Nearest {
  public:
    Nearest(const kernels::KernelTable& table, const Centroids& centroids,
            const scan::Centre& centre);

    // Rows to labels and scores, as `assign` gives them. Without scores, those that the scan alone
    // can label are not scored.
    void find(const MatrixView& points, std::int32_t* labels, float* scores);
    // The same for at most kTile rows that are coded already.
    void find_tile(const float* rows, std::size_t n_rows, const CodedPoints& coded,
                   std::size_t tile, std::int32_t* labels, float* scores);

  private:
    void pack(const float* rows, std::size_t n_rows);
    void measure_lengths();
    bool scan_codes(const CodedPoints& coded, std::size_t tile, bool score);
    void scan_floats(const CodedPoints& coded, std::size_t tile);
    void set_thresholds(const kernels::PointTerms& points);
    void take_undisputed(std::size_t n);
    void score_pairs(std::size_t n);
    void score_all(std::size_t point);

    const kernels::KernelTable& table_;
    const Centroids& centroids_;
    const scan::Centre& centre_;
    Metric metric_;
    std::vector<float> highest_;
    float lowest_[kTile];
    float thresholds_[kTile];
    std::vector<kernels::Pair> pairs_;
    std::vector<double> sums_;
    std::vector<float> panels_;
    std::size_t skip_codes_ = 0;  // so many tiles, once a tile's codes have let too much pass

    // The tile at hand.
    const float* rows_ = nullptr;
    std::size_t n_rows_ = 0;
    std::uint64_t live_ = 0;
    double lengths_[kTile];  // |x|, for cosine
    std::int32_t labels_[kTile];
    float scores_[kTile];
};

}  // namespace vecrecall::cluster
