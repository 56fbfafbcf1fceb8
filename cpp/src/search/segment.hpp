// A run of items that never changes: rows, and what is derived from them block by block.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/centering.hpp"
#include "core/id_map.hpp"
#include "core/scoring.hpp"
#include "platform/memory.hpp"
#include "search/codes.hpp"
#include "search/rows.hpp"
#include "vecrecall/index_arrays.hpp"

namespace vecrecall::search {

// Items share one bound within a block. Most blocks have so many; none has more.
inline constexpr std::size_t kBlockItems = 2048;
// So many blocks at least are ordered by length.
inline constexpr std::size_t kFewestOrderedBlocks = 8;

inline std::size_t blocks_for(std::size_t rows, std::size_t block_items = kBlockItems) {
    return (rows + block_items - 1) / block_items;
}

// The scan sees an item x as r = x - mu (ip, l2) or r = x / |x| - mu (cosine), and an offset:
// the bias (ip, cosine) or (bias - |r|^2) / 2 (l2). All are upper bounds over a block.
struct BlockStats {
    double radius;      // max |r|; infinite where the float32 scan has no bound
    double max_offset;  // max |offset|
    double top_offset;  // max offset
};

// The arrays of a segment, item by item in the order given.
struct Source {
    Rows rows;
    const std::int64_t* ids = nullptr;  // unique, >= 0; null for 0 .. n-1
    const double* bias = nullptr;       // or null
    const std::uint32_t* insertion_ranks =
        nullptr;  // among all items of the index; null for 0 .. n-1
};

class Segment {
  public:
    // The rows are borrowed where options.copy is false; they lie together then. block_items: a
    // multiple of kWordItems.
    Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
            std::size_t block_items, const BuildOptions& options);
    // From parts that were checked; everything is borrowed.
    Segment(const IndexArrays& parts, std::shared_ptr<const Center> center,
            std::shared_ptr<const void> owner);

    std::size_t size() const { return scored_.rows.rows; }
    std::size_t dim() const { return scored_.rows.dim; }
    Metric metric() const { return scored_.metric; }
    std::size_t blocks() const { return stats_.size(); }
    std::size_t block_items() const { return block_items_; }
    std::size_t block_size(std::size_t block) const {
        const std::size_t left = size() - block * block_items_;
        return left < block_items_ ? left : block_items_;
    }
    // The number of a row where every block has numbers for kBlockItems.
    std::size_t spread(std::size_t row) const {
        return row / block_items_ * kBlockItems + row % block_items_;
    }

    // Of all arrays, borrowed ones too.
    std::size_t bytes() const;
    const ScoredItems& scored() const { return scored_; }
    const IdMap& ids() const { return *ids_; }
    bool borrows() const { return borrows_; }
    bool ordered() const { return order_ != nullptr; }
    // Row by row the item as given; null: as given.
    const std::uint32_t* order() const { return order_; }
    // Of a row: the rank of its item among all items of the index.
    std::size_t insertion_rank(std::size_t row) const;
    const Codes& codes() const { return codes_; }
    const BlockStats& stats(std::size_t block) const { return stats_[block]; }
    const Center& center() const { return *center_; }
    const std::shared_ptr<const Center>& shared_center() const { return center_; }

    // 1 / |x| for a run of rows, 0 for a zero row.
    std::vector<double> inverse_lengths(const kernels::KernelTable& table, std::size_t first,
                                        std::size_t n) const;
    // Per row 1 / |x| (cosine), or null.
    const float* scales() const { return scales_; }
    // Per row the offset (l2), or null.
    const float* offsets() const { return offsets_; }
    // Not all offsets are zero.
    bool has_offsets() const { return metric() == Metric::kL2 || scored_.bias != nullptr; }
    // Those of a run of rows.
    void copy_offsets(std::size_t first, std::size_t n, float* to) const;

  private:
    void take_rows(const kernels::KernelTable& table, const Rows& rows, int threads);
    void take_ids(const std::int64_t* ids);
    void derive_block(const kernels::KernelTable& table, std::size_t block);
    void derive_cosine(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                       BlockStats& stats);
    void derive_offsets(std::size_t first, std::size_t n, BlockStats& stats) const;
    void derive_differences(const kernels::KernelTable& table, std::size_t first, std::size_t n,
                            BlockStats& stats);

    std::shared_ptr<const Center> center_;
    std::size_t block_items_;
    std::shared_ptr<const void> owner_;  // of borrowed rows
    bool borrows_;
    std::vector<std::uint32_t> own_order_;
    const std::uint32_t* order_ = nullptr;
    std::vector<std::uint32_t> insertion_ranks_;  // of the items as given; empty: 0 .. n-1
    Buffer<float> own_rows_;
    std::vector<double> own_bias_;
    ScoredItems scored_;
    std::unique_ptr<IdMap> ids_;
    Buffer<float> own_scales_;
    Buffer<float> own_offsets_;
    const float* scales_ = nullptr;
    const float* offsets_ = nullptr;  // l2; else the bias is all there is to them
    std::vector<BlockStats> stats_;
    Codes codes_;
};

}  // namespace vecrecall::search
