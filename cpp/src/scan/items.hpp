// The items of an index as the scan sees them: rows, and what is derived from them block by block.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "id_map.hpp"
#include "memory.hpp"
#include "scan/centre.hpp"
#include "scan/codes.hpp"
#include "scoring.hpp"

namespace vecrecall::scan {

// Items share one bound within a block.
inline constexpr std::size_t kBlockItems = 2048;

// The scan sees an item x as r = x - mu (ip, l2) or r = x / |x| - mu (cosine), and an offset:
// the bias (ip, cosine) or (bias - |r|^2) / 2 (l2). All are upper bounds over a block.
struct BlockStats {
    double radius;      // max |r|; infinite where the float32 scan has no bound
    double max_offset;  // max |offset|
    double top_offset;  // max offset
};

class Items {
  public:
    Items(const ItemsView& items, Metric metric, const BuildOptions& options);

    std::size_t size() const { return scored_.rows.rows; }
    std::size_t dim() const { return scored_.rows.dim; }
    Metric metric() const { return scored_.metric; }
    std::size_t blocks() const { return stats_.size(); }

    const ScoredItems& scored() const { return scored_; }
    const IdMap& ids() const { return *ids_; }
    bool ordered() const { return !order_.empty(); }
    // Where a row of ours stood in what the caller gave.
    std::size_t given_row(std::size_t row) const { return order_.empty() ? row : order_[row]; }
    const Codes& codes() const { return codes_; }
    const BlockStats& stats(std::size_t block) const { return stats_[block]; }
    // Zero-padded to padded_dim.
    const float* centre() const { return centre_.narrow.data(); }
    double centre_norm() const { return centre_.norm; }
    const double* wide_centre() const { return centre_.wide.data(); }
    // A bit per row, set for every item; the rest of the last words is clear.
    const std::uint64_t* live() const { return live_.data(); }

    // 1 / |x| for a run of rows, 0 for a zero row.
    std::vector<double> inverse_lengths(const kernels::KernelTable& table, std::size_t first,
                                        std::size_t n) const;
    // Per row 1 / |x| (cosine), or null.
    const float* scales() const { return scales_.empty() ? nullptr : scales_.data(); }
    // Not all offsets are zero.
    bool has_offsets() const { return metric() == Metric::kL2 || scored_.bias != nullptr; }
    // Those of a run of rows.
    void copy_offsets(std::size_t first, std::size_t n, float* to) const;

  private:
    void take_rows(const kernels::KernelTable& table, const ItemsView& items, int threads);
    void take_ids(const std::int64_t* ids);
    void derive_block(const kernels::KernelTable& table, std::size_t block);
    void derive_cosine(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                       BlockStats& stats);
    void derive_offsets(std::size_t first, std::size_t n, BlockStats& stats) const;
    void derive_differences(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                            BlockStats& stats);

    std::vector<std::uint32_t> order_;  // empty: as given
    Buffer<float> owned_rows_;
    std::vector<double> bias_;
    ScoredItems scored_;
    std::unique_ptr<IdMap> ids_;
    Centre centre_;
    Buffer<float> scales_;
    Buffer<float> offsets_;  // l2; else the bias is all there is to them
    std::vector<BlockStats> stats_;
    std::vector<std::uint64_t> live_;
    Codes codes_;
};

inline std::size_t blocks_for(std::size_t rows) { return (rows + kBlockItems - 1) / kBlockItems; }

}  // namespace vecrecall::scan
