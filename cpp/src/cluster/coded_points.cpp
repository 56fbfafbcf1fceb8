#include "cluster/coded_points.hpp"

#include <cmath>

#include "cluster/bound.hpp"

namespace vecrecall::cluster {

CodedPoints::CodedPoints(std::size_t tiles, std::size_t dim)
    : dim_(dim),
      quads_((dim + 3) / 4),
      codes_(checked_product(tiles * kTile, quads_ * 4)),
      units_(tiles * kTile),
      misses_(tiles * kTile),
      lengths_(tiles * kTile),
      wild_(tiles) {}

void CodedPoints::code(const kernels::KernelTable& table, std::size_t tile, const float* rows,
                       std::size_t n_rows, const double* centre) {
    double steps[kTile];
    double lengths[kTile];
    double misses[kTile];
    table.code_tile({.rows = rows,
                     .n_rows = n_rows,
                     .dim = dim_,
                     .centre = centre,
                     .codes = codes_.data() + tile * quads_ * 4 * kTile,
                     .steps = steps,
                     .lengths = lengths,
                     .misses = misses});
    wild_[tile] = 0;
    for (std::size_t i = 0; i < kTile; ++i) {
        const std::size_t at = tile * kTile + i;
        units_[at] = 1.0F;
        misses_[at] = 0.0F;
        lengths_[at] = 0.0F;
        if (i >= n_rows) continue;
        const double length = std::sqrt(lengths[i]) * kUp;
        if (!(steps[i] >= kSmallestStep && steps[i] <= kLargestStep && length <= kLargestLength)) {
            wild_[tile] |= std::uint64_t{1} << i;
            continue;
        }
        units_[at] = static_cast<float>(1.0 / steps[i]);
        misses_[at] = round_up((std::sqrt(misses[i]) * kUp + 0x1p-50 * length) / steps[i]);
        lengths_[at] = round_up(length / steps[i]);
    }
}

kernels::PointTerms CodedPoints::terms(std::size_t tile) const {
    return {units_.data() + tile * kTile, misses_.data() + tile * kTile,
            lengths_.data() + tile * kTile};
}

}  // namespace vecrecall::cluster
