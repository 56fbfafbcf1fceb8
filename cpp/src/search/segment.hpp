// A run of items that never changes: rows, and what is derived from them block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/centering.hpp"
#include "core/id_map.hpp"
#include "core/scoring.hpp"
#include "platform/memory.hpp"
#include "search/block_layout.hpp"
#include "search/codes.hpp"
#include "search/lists.hpp"
#include "search/rows.hpp"
#include "vecrecall/index_arrays.hpp"

namespace vecrecall::search {

// So many blocks at least are ordered by length.
inline constexpr std::size_t kFewestOrderedBlocks = 8;

// The scan sees an item x as r = x - mu (ip, l2) or r = x / |x| - mu (cosine), and an offset:
// the bias (ip, cosine) or (bias - |r|^2) / 2 (l2), in lists less c.r with c = the
// list's center - mu, where r = x - mu - c. All are upper bounds over a block.
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
    // In lists, one after the other; `order` says which item is the next. Rows are copied.
    Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
            const std::shared_ptr<const Lists>& lists, std::vector<std::uint32_t> order,
            const BuildOptions& options);
    // From parts that were checked; everything is borrowed.
    Segment(const IndexArrays& parts, std::shared_ptr<const Center> center,
            std::shared_ptr<const Lists> lists, std::shared_ptr<const void> owner);

    std::size_t size() const { return scored_.rows.rows; }
    std::size_t dim() const { return scored_.rows.dim; }
    RowType row_type() const { return scored_.rows.type; }
    Metric metric() const { return scored_.metric; }
    std::size_t blocks() const { return stats_.size(); }
    const BlockLayout& layout() const { return layout_; }
    // Of the rows, if they are in lists.
    const std::shared_ptr<const Lists>& lists() const { return lists_; }

    // Of all arrays, borrowed ones too.
    std::size_t bytes() const;
    const ScoredItems& scored() const { return scored_; }
    const IdMap& ids() const { return *ids_; }
    bool borrows() const { return borrows_; }
    bool by_length() const { return order_ != nullptr && !lists_; }
    // Row by row the item as given; null: as given.
    const std::uint32_t* order() const { return order_; }
    // Of a row: the rank of its item among all items of the index.
    std::size_t insertion_rank(std::size_t row) const;
    const Codes& codes() const { return codes_; }
    const BlockStats& stats(std::size_t block) const { return stats_[block]; }
    // The point that the scan subtracts from the rows of a block.
    const Center& center(std::size_t block) const {
        return lists_ ? lists_->center(lists_->list_of_block(block)) : *center_;
    }
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
    // At least the largest bias of a block of a list; but for the rounding of one to float32.
    double top_bias(std::size_t block) const {
        return top_biases_.empty() ? stats_[block].top_offset : top_biases_[block];
    }
    // Per row the length of r along the center's direction; null where that has none.
    const float* along() const { return along_; }
    // Those of a run of rows.
    void copy_offsets(std::size_t first, std::size_t n, float* to) const;

  private:
    Segment(const Source& source, Metric metric, std::shared_ptr<const Center> center,
            std::shared_ptr<const Lists> lists, const BlockLayout& layout,
            const BuildOptions& options);
    void fill(const Source& source, const BuildOptions& options);
    void find_top_biases();
    void take_rows(const Rows& rows, int threads);
    void take_ids(const std::int64_t* ids);
    void derive_block(const kernels::KernelTable& table, std::size_t block);
    void derive_cosine(const kernels::KernelTable& table, std::size_t block, BlockStats& stats);
    void derive_along(const kernels::KernelTable& table, std::size_t first, std::size_t n);
    void derive_offsets(std::size_t first, std::size_t n, BlockStats& stats) const;
    void derive_differences(const kernels::KernelTable& table, std::size_t block,
                            BlockStats& stats);
    double offset_of(std::size_t row, const float* list_row, double square,
                     std::size_t block) const;

    std::shared_ptr<const Center> center_;
    std::shared_ptr<const Lists> lists_;
    BlockLayout layout_;
    std::shared_ptr<const void> owner_;  // of borrowed rows
    bool borrows_;
    std::vector<std::uint32_t> own_order_;
    const std::uint32_t* order_ = nullptr;
    std::vector<std::uint32_t> insertion_ranks_;  // of the items as given; empty: 0 .. n-1
    Buffer<std::byte> own_rows_;
    std::vector<double> own_bias_;
    ScoredItems scored_;
    std::unique_ptr<IdMap> ids_;
    Buffer<float> own_scales_;
    Buffer<float> own_offsets_;
    Buffer<float> own_along_;
    const float* scales_ = nullptr;
    const float* offsets_ = nullptr;  // l2; else the bias is all there is to them
    const float* along_ = nullptr;
    std::vector<BlockStats> stats_;
    std::vector<double> top_biases_;  // in lists under l2, where offsets hold more than the bias
    Codes codes_;
};

}  // namespace vecrecall::search
