// Points in tiles of int8 codes, as the scan for the nearest centroids reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "memory.hpp"

namespace vecrecall::cluster {

inline constexpr std::size_t kTile = kernels::kWordItems;

class CodedPoints {
  public:
    // Room for so many tiles.
    CodedPoints(std::size_t tiles, std::size_t dim);

    // Codes a tile of points that lie in panels. Those past the last row are zeros.
    void code(const kernels::KernelTable& table, std::size_t tile, const float* panels);

    const std::uint8_t* codes(std::size_t tile) const {
        return codes_.data() + tile * quads_ * 4 * kTile;
    }
    kernels::PointTerms terms(std::size_t tile) const;
    // Points whose values could leave the range of the scan, a bit each.
    std::uint64_t wild(std::size_t tile) const { return wild_[tile]; }

  private:
    std::size_t dim_;
    std::size_t quads_;
    Buffer<std::uint8_t> codes_;
    Buffer<float> units_;
    Buffer<float> misses_;
    Buffer<float> lengths_;
    std::vector<std::uint64_t> wild_;
};

}  // namespace vecrecall::cluster
