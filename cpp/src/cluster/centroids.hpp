// Centroids as the scan for the nearest sees them: in int8 and in float32, with what bounds the
// error of every value.
#pragma once

#include <cstdint>
#include <vector>

#include "core/centering.hpp"
#include "core/scoring.hpp"
#include "kernels/table.hpp"
#include "platform/memory.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::cluster {

// See kernels::ErrorTerms.
struct Errors {
    std::vector<float> per_miss;
    std::vector<float> per_length;
    std::vector<float> per_unit;

    void assign(std::size_t n);
    void raise(std::size_t to, const Errors& from, std::size_t i);
    kernels::ErrorTerms terms() const;
};

// A point x and a centroid y are compared by
//     v = r.s + offset,   s = y - mu (l2, ip) or y / |y| - mu (cosine),
//     l2: r = x - mu, offset = -|s|^2 / 2, score = 2 v - |r|^2;
//     ip, cosine: r = x, offset = 0, score = v + x.mu, for cosine divided by |x|.
class Centroids {
  public:
    // The rows are borrowed. `center` is mu.
    Centroids(const kernels::KernelTable& table, const MatrixView& rows, Metric metric,
              const search::Center& center, int threads);

    // The kernels that this layout is for, which may differ from those in use by now.
    const kernels::KernelTable& table() const { return table_; }
    const ScoredItems& scored() const { return scored_; }
    std::size_t size() const { return scored_.rows.rows; }
    std::size_t dim() const { return scored_.rows.dim; }
    // Values stay far from the ends of float32: else every centroid is scored.
    bool scannable() const { return scannable_; }
    bool has_codes() const { return has_codes_; }
    // mu as a row: x.mu is what values lack.
    const float* center() const { return center_.narrow.data(); }
    // The vectors that are subtracted from points, whole.
    const float* point_center() const {
        return scored_.metric == Metric::kL2 ? center_.narrow.data() : nothing_.data();
    }
    // At least |mu| + |s|, for ip.
    double reach() const { return reach_; }
    // |y|, in the lane order of the scores.
    double length(std::size_t c) const { return lengths_[c]; }

    std::size_t groups_i8() const { return groups_i8_; }
    std::size_t groups_f32() const { return groups_f32_; }
    void fill(kernels::NearestI8& scan) const;
    void fill(kernels::SelectI8& select) const;
    void fill(kernels::NearestF32& scan) const;

  private:
    void derive(std::size_t c);
    void code(std::size_t c, const std::vector<double>& s);
    void gather_groups();

    const kernels::KernelTable& table_;
    ScoredItems scored_;
    search::Center center_;
    std::vector<float> nothing_;  // zeros
    bool scannable_ = false;
    bool has_codes_ = false;
    double reach_ = 0;
    std::size_t quads_;
    std::size_t groups_i8_;
    std::size_t groups_f32_;
    std::size_t padded_;
    std::vector<double> lengths_;
    std::vector<double> radii_;  // |s|
    Buffer<std::int8_t> blocks_i8_;
    Buffer<std::int8_t> columns_;
    std::vector<std::int32_t> starts_;
    std::vector<float> steps_;
    std::vector<float> offsets_;
    Errors errors_i8_;
    Errors group_errors_i8_;
    Buffer<float> blocks_f32_;
    Errors errors_f32_;
    Errors group_errors_f32_;
};

}  // namespace vecrecall::cluster
