// The items of an index at one moment, as the scan sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "search/added_rows.hpp"
#include "search/segment.hpp"

namespace vecrecall::search {

using Bitmap = std::vector<std::uint64_t>;  // a bit per row

// A block of all items is one of a segment.
struct Block {
    const Segment* segment;
    std::size_t index;  // within the segment

    std::size_t size() const { return segment->block_size(index); }
    std::size_t first() const { return index * segment->block_items(); }  // row of the segment
    const BlockStats& stats() const { return segment->stats(index); }
    const CodeStats& code_stats() const { return segment->codes().stats(index); }
};

// Segments one after the other. Every block has numbers for kBlockItems rows: row r is in block
// r / kBlockItems. The first was there when the index was built, or rebuilt; it is empty only where
// it is the only one. Removed rows are still there, but not live. Never changes, but that
// the one writer puts rows of later items into the table of added ones.
class Items {
  public:
    // All of one segment.
    Items(std::shared_ptr<const Segment> base, bool with_codes);
    // Those that are live; n_ranks: all insertion ranks are below it.
    Items(const Items& before, std::vector<std::shared_ptr<const Segment>> segments, Bitmap live,
          std::shared_ptr<AddedRows> added, std::size_t n_ranks);

    std::size_t size() const { return size_; }  // without those removed
    std::size_t rows() const { return rows_; }  // with them
    std::size_t dim() const { return base().dim(); }
    Metric metric() const { return base().metric(); }
    std::size_t blocks() const { return blocks_.size(); }
    const Block& block(std::size_t b) const { return blocks_[b]; }
    const std::vector<std::shared_ptr<const Segment>>& segments() const { return segments_; }
    const Segment& base() const { return *segments_.front(); }
    // No two are alike, in one process.
    std::uint64_t version() const { return version_; }

    std::int64_t id(std::size_t row) const {
        if (row < base_ids_->size()) return base_ids_->id(row);  // nearly all, with fewer looks
        const Block& b = blocks_[row / kBlockItems];
        return b.segment->ids().id(b.first() + row % kBlockItems);
    }
    const float* row(std::size_t row) const {
        const Block& b = blocks_[row / kBlockItems];
        return b.segment->scored().rows.row(b.first() + row % kBlockItems);
    }
    double bias(std::size_t row) const;
    bool has_bias() const;  // of any segment
    std::size_t bytes() const;
    // Items in the order of their insertion ranks are in the order of insertion.
    std::size_t insertion_rank(std::size_t row) const {
        const Block& b = blocks_[row / kBlockItems];
        return b.segment->insertion_rank(b.first() + row % kBlockItems);
    }
    std::size_t n_ranks() const { return n_ranks_; }
    // The rows in order of insertion.
    std::vector<std::uint32_t> rows_by_insertion_rank() const;
    // The row of an id, or -1.
    std::int64_t find(std::int64_t id) const;
    // -1 where there is no item.
    std::int64_t largest_id() const;
    const std::shared_ptr<AddedRows>& added() const { return added_; }

    // A bit per row of every block, set for every item.
    const Bitmap& live() const { return live_; }
    bool is_live(std::size_t row) const {
        return row / 64 < live_.size() && (live_[row / 64] >> (row % 64) & 1) != 0;
    }
    // Calls with every row that is live.
    template <class Visit>
    void for_live(Visit visit) const;

    // The rows are by length, at least those of the base.
    bool ordered() const { return base().ordered(); }
    bool has_codes() const { return with_codes_; }
    // Far coarser than those of most blocks.
    bool has_outliers(const Block& b) const { return b.code_stats().error_length > outlier_error_; }
    const Center& center() const { return base().center(); }
    // Not all offsets are zero.
    bool has_offsets() const { return has_offsets_; }

    // Exact scores, see score_rows.
    void score(const kernels::KernelTable& table, const double* query, double query_norm,
               const std::uint32_t* rows, std::size_t n, float* scores) const;

  private:
    void list_blocks();

    std::vector<std::shared_ptr<const Segment>> segments_;
    const IdMap* base_ids_;
    std::vector<Block> blocks_;
    Bitmap live_;
    std::shared_ptr<AddedRows> added_;  // null: nothing was added
    bool with_codes_;
    bool has_offsets_ = false;
    double outlier_error_;
    std::size_t size_ = 0;
    std::size_t rows_ = 0;
    std::size_t n_ranks_;
    std::uint64_t version_;
};

// The base of an index over `items`, and all of them.
std::shared_ptr<const Segment> make_base(const Source& source, Metric metric,
                                         const BuildOptions& options);

template <class Visit>
void Items::for_live(Visit visit) const {
    for (std::size_t w = 0; w < live_.size(); ++w) {
        for (std::uint64_t bits = live_[w]; bits != 0; bits &= bits - 1) {
            visit(w * 64 + static_cast<std::size_t>(__builtin_ctzll(bits)));
        }
    }
}

}  // namespace vecrecall::search
