// A tile of points as int8 codes, as the scan for the nearest centroids reads them.
#pragma once

#include <cstdint>

#include "kernels/table.hpp"
#include "platform/memory.hpp"

namespace vecrecall::cluster {

inline constexpr std::size_t kTile = kernels::kWordItems;

class CodedTile {
  public:
    explicit CodedTile(std::size_t dim);

    // Codes points that lie in float32 panels. Those past the last row are zeros.
    void code(const kernels::KernelTable& table, const float* panels);

    const std::uint8_t* codes() const { return codes_.data(); }
    kernels::PointTerms terms() const { return {units_, misses_, lengths_}; }
    // Points whose values could leave the range of the scan, a bit each.
    std::uint64_t out_of_range_mask() const { return out_of_range_mask_; }

  private:
    std::size_t dim_;
    Buffer<std::uint8_t> codes_;
    float units_[kTile];
    float misses_[kTile];
    float lengths_[kTile];
    std::uint64_t out_of_range_mask_ = 0;
};

}  // namespace vecrecall::cluster
