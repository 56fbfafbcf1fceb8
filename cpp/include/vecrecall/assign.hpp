// Centroid assignment: the nearest centroids of every point, exact.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecrecall/flat_index.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall {

// The m nearest centroids of every point, best first: labels and scores are n x m. Scores, their
// bits and ties are those of a FlatIndex over the centroids, labels its ids. A zero point under
// cosine gets label -1 and score -inf. Centroids are finite, m is at most their number, and under
// cosine none is zero. Throws std::invalid_argument for points that are not finite, naming the
// first such row: the pass over them sees it, where another one would cost a tenth of the time.
// Points of half precision give what they give widened to float32.
void assign(const RowsView& points, const MatrixView& centroids, Metric metric, std::size_t m,
            std::int32_t* labels, float* scores, int threads = 0);

// Of points with new labels, gives those back their label that score the same by it: `held` has one
// a point, -1 for none. Labels and scores are as `assign` gives them, one per point.
void keep_ties(const RowsView& points, const MatrixView& centroids, Metric metric,
               const std::int32_t* held, std::int32_t* labels, const float* scores,
               int threads = 0);

// The sum of the points of each cluster: sums is k x dim, weights is k.
struct ClusterSums {
    double* sums;
    double* weights;  // of the points together: their number where they have none
};

// Adds up the rows of each label in float64, in row order, times their weights if any; under cosine
// each row is divided by its length first. Rows labeled -1 are left out; other labels are below k.
void sum_clusters(const RowsView& points, const double* weights, const std::int32_t* labels,
                  std::size_t k, Metric metric, const ClusterSums& out, int threads = 0);

}  // namespace vecrecall
