#include "cluster/coded_tile.hpp"

#include "cluster/bound.hpp"

namespace vecrecall::cluster {

CodedTile::CodedTile(std::size_t dim)
    : dim_(dim), codes_(checked_product(kTile, (dim + 3) / 4 * 4)) {}

void CodedTile::code(const kernels::KernelTable& table, const float* panels) {
    float steps[kTile];
    table.code_tile({.panels = panels,
                     .dim = dim_,
                     .codes = codes_.data(),
                     .steps = steps,
                     .units = units_,
                     .lengths = lengths_,
                     .misses = misses_});
    const auto sum_margin = static_cast<float>(1 + (static_cast<double>(dim_) + 16) * kUnit);
    out_of_range_mask_ = 0;
    for (std::size_t i = 0; i < kTile; ++i) {
        const bool tame = steps[i] >= kSmallestStep && steps[i] <= kLargestStep &&
                          lengths_[i] * steps[i] <= kLargestLength;
        out_of_range_mask_ |= std::uint64_t{!tame} << i;
        lengths_[i] *= sum_margin;
        misses_[i] = misses_[i] * sum_margin + lengths_[i] * kMissRounding;
        if (tame) continue;
        units_[i] = 1.0F;
        misses_[i] = 0.0F;
        lengths_[i] = 0.0F;
    }
}

}  // namespace vecrecall::cluster
