// k-means: one Lloyd iteration at a time, and the draws that it starts from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "vecrecall/flat_index.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall {

struct LloydStep {
    double inertia;         // weighted; of the centers that the step started from
    double shift2;          // sum of squared movements of the centers
    std::size_t relabeled;  // points that changed label since the step before, or all
};

struct LloydOptions {
    const double* weights = nullptr;  // of the points, > 0; null: all 1. Borrowed.
    // Labels that points hold already, each below the number of centers or -1, or null. Then ties
    // go to the label held before, and a center without points stays. Copied.
    const std::int32_t* held = nullptr;
};

// A k-means run over points that are borrowed. Metric l2, or cosine (spherical): there rows count
// as divided by their length, zero rows take no part, and centers have length one.
class Lloyd {
  public:
    Lloyd(const RowsView& points, Metric metric, int threads = 0, const LloydOptions& options = {});
    ~Lloyd();
    Lloyd(Lloyd&&) noexcept;
    Lloyd& operator=(Lloyd&&) noexcept;

    // From k centers to the means of their points, which may overwrite them. An empty cluster takes
    // the point farthest from its center (the lowest row of equals) that is not alone in its own.
    LloydStep step(const float* centers, std::size_t k, float* updated);

    // Labels and scores as `assign` gives them; returns the inertia: the sum of squared distances,
    // or of 1 - cosine, times weights.
    double assign(const float* centers, std::size_t k, std::int32_t* labels, float* scores) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// k-means++: k different rows, drawn with probability proportional to their squared distance (or
// 1 - cosine) from the nearest drawn before; of `trials` draws the one stays that leaves the least
// distance in all. Distances count times `weights`, each > 0, if any. `draws` holds k x trials
// uniform numbers in [0, 1); the first row takes the first of its own. Where nothing is left at a
// distance, the lowest row not yet drawn. Zero rows under cosine are not drawn; throws
// std::invalid_argument for fewer than k rows.
void plus_plus(const RowsView& points, const double* weights, const double* draws, std::size_t k,
               std::size_t trials, Metric metric, std::int64_t* rows, int threads = 0);

}  // namespace vecrecall
