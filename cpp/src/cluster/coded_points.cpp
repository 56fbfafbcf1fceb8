#include "cluster/coded_points.hpp"

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

void CodedPoints::code(const kernels::KernelTable& table, std::size_t tile, const float* panels) {
    float steps[kTile];
    float* units = units_.data() + tile * kTile;
    float* misses = misses_.data() + tile * kTile;
    float* lengths = lengths_.data() + tile * kTile;
    table.code_tile({.panels = panels,
                     .dim = dim_,
                     .codes = codes_.data() + tile * quads_ * 4 * kTile,
                     .steps = steps,
                     .units = units,
                     .lengths = lengths,
                     .misses = misses});
    const auto sum_margin = static_cast<float>(1 + (static_cast<double>(dim_) + 16) * kUnit);
    wild_[tile] = 0;
    for (std::size_t i = 0; i < kTile; ++i) {
        const bool tame = steps[i] >= kSmallestStep && steps[i] <= kLargestStep &&
                          lengths[i] * steps[i] <= kLargestLength;
        wild_[tile] |= std::uint64_t{!tame} << i;
        lengths[i] *= sum_margin;
        misses[i] = misses[i] * sum_margin + lengths[i] * kMissRounding;
        if (tame) continue;
        units[i] = 1.0F;
        misses[i] = 0.0F;
        lengths[i] = 0.0F;
    }
}

kernels::PointTerms CodedPoints::terms(std::size_t tile) const {
    return {units_.data() + tile * kTile, misses_.data() + tile * kTile,
            lengths_.data() + tile * kTile};
}

}  // namespace vecrecall::cluster
