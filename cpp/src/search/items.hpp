// The items of an index at one moment, as the scan sees them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "platform/canceling.hpp"
#include "search/added_rows.hpp"
#include "search/segment.hpp"

namespace vecrecall::search {

using Bitmap = std::vector<std::uint64_t>;  // a bit per row

// A block of all items is one of a segment.
struct Block {
    const Segment* segment = nullptr;
    std::uint32_t index = 0;      // within the segment
    std::uint32_t size = 0;       // items
    std::uint32_t first = 0;      // row of the segment
    std::uint32_t first_row = 0;  // its number among all; a multiple of kWordItems

    const BlockStats& stats() const { return segment->stats(index); }
    const CodeStats& code_stats() const { return segment->codes().stats(index); }
    const Center& center() const { return segment->center(index); }
    std::size_t local(std::size_t row) const { return first + (row - first_row); }
};

// Segments one after the other. Rows of all are numbered by slots, see BlockLayout: numbers that
// no item has are never live. The first was there when the index was built, or rebuilt; it is empty
// only where it is the only one. Removed rows are still there, but not live. Never changes, but
// that the one writer puts rows of later items into the table of added ones.
class Items {
  public:
    // All of one segment.
    Items(std::shared_ptr<const Segment> base, bool with_codes, std::size_t probes = 1);
    // Those that are live; n_ranks: all insertion ranks are below it.
    Items(const Items& before, std::vector<std::shared_ptr<const Segment>> segments, Bitmap live,
          std::shared_ptr<AddedRows> added, std::size_t n_ranks);

    std::size_t size() const { return size_; }  // without those removed
    std::size_t rows() const { return rows_; }  // with them
    std::size_t dim() const { return base().dim(); }
    Metric metric() const { return base().metric(); }
    std::size_t blocks() const { return blocks_.size(); }
    const Block& block(std::size_t b) const { return blocks_[b]; }
    std::size_t block_number(std::size_t row) const {
        return block_of_word_[row / kernels::kWordItems];
    }
    const Block& block_of(std::size_t row) const { return blocks_[block_number(row)]; }
    const std::vector<std::shared_ptr<const Segment>>& segments() const { return segments_; }
    const Segment& base() const { return *segments_.front(); }
    // No two are alike, in one process.
    std::uint64_t version() const { return version_; }

    std::int64_t id(std::size_t row) const {
        if (row < plain_rows_) return base_ids_->id(row);  // nearly all, with fewer looks
        const Block& b = block_of(row);
        return b.segment->ids().id(b.local(row));
    }
    const float* row(std::size_t row) const {
        const Block& b = block_of(row);
        return b.segment->scored().rows.row(b.local(row));
    }
    double bias(std::size_t row) const;
    bool has_bias() const;  // of any segment
    std::size_t bytes() const;
    // Items in the order of their insertion ranks are in the order of insertion.
    std::size_t insertion_rank(std::size_t row) const {
        const Block& b = block_of(row);
        return b.segment->insertion_rank(b.local(row));
    }
    std::size_t n_ranks() const { return n_ranks_; }
    // The rows in order of insertion.
    std::vector<std::uint32_t> rows_by_insertion_rank() const;
    // The row of an id, or -1.
    std::int64_t find(std::int64_t id) const;
    // Calls with the row of every id that has one.
    template <class Visit>
    void for_rows_of(const std::int64_t* ids, std::size_t n, Visit visit) const;
    // -1 where there is no item.
    std::int64_t largest_id() const;
    const std::shared_ptr<AddedRows>& added() const { return added_; }

    // A bit per number of a row, set for every item.
    const Bitmap& live() const { return live_; }
    bool is_live(std::size_t row) const {
        return row / 64 < live_.size() && (live_[row / 64] >> (row % 64) & 1) != 0;
    }
    // Calls with every row that is live.
    template <class Visit>
    void for_live(Visit visit) const;

    // The rows are by length, at least those of the base.
    bool ordered() const { return base().by_length(); }
    // The same, where searches probe so many lists unless they say how many.
    std::shared_ptr<const Items> with_probes(std::size_t probes) const;
    std::size_t probes() const { return static_cast<std::size_t>(list_settings_[3]); }
    // As files keep them, see IndexArrays.
    const std::array<std::int64_t, kListSettings>& list_settings() const { return list_settings_; }
    // Null: the items are in no lists.
    const Lists* lists() const { return base().lists().get(); }
    bool has_codes() const { return with_codes_; }
    // Far coarser than those of most blocks.
    bool has_outliers(const Block& b) const { return b.code_stats().error_length > outlier_error_; }
    const Center& center() const { return base().center(); }
    // Not all offsets are zero.
    bool has_offsets() const { return has_offsets_; }

    // That of a row, -1 where it is in none.
    std::int64_t list_of(std::size_t row) const {
        const Block& b = block_of(row);
        const bool listed = lists() != nullptr && b.segment == segments_.front().get();
        return listed ? static_cast<std::int64_t>(lists()->list_of_block(b.index)) : -1;
    }
    // By codes without the part along the center; a bias has its place.
    bool scans_along() const { return base().along() != nullptr && !has_offsets_; }

    // Exact scores, see score_rows.
    void score(const kernels::KernelTable& table, const double* query, double query_norm,
               const std::uint32_t* rows, std::size_t n, float* scores) const;

  private:
    void list_blocks();

    std::vector<std::shared_ptr<const Segment>> segments_;
    const IdMap* base_ids_;
    std::size_t plain_rows_ = 0;  // so many rows of the base are numbered as they lie
    std::vector<Block> blocks_;
    std::vector<std::uint32_t> block_of_word_;
    Bitmap live_;
    std::shared_ptr<AddedRows> added_;  // null: nothing was added
    bool with_codes_;
    bool has_offsets_ = false;
    double outlier_error_;
    std::size_t size_ = 0;
    std::size_t rows_ = 0;
    std::size_t n_ranks_;
    std::array<std::int64_t, kListSettings> list_settings_{};
    std::uint64_t version_;
};

// The base of an index over `items`, and all of them.
std::shared_ptr<const Segment> make_base(const Source& source, Metric metric,
                                         const BuildOptions& options);

template <class Visit>
void Items::for_rows_of(const std::int64_t* ids, std::size_t n, Visit visit) const {
    constexpr std::size_t kAtOnce = 32;
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        if (i % kAtOnce == 0) base().ids().prefetch(ids + i, std::min(kAtOnce, n - i));
        const std::int64_t row = find(ids[i]);
        if (row >= 0) visit(static_cast<std::size_t>(row));
    }
}

template <class Visit>
void Items::for_live(Visit visit) const {
    for (std::size_t w = 0; w < live_.size(); ++w) {
        for (std::uint64_t bits = live_[w]; bits != 0; bits &= bits - 1) {
            visit(w * 64 + static_cast<std::size_t>(__builtin_ctzll(bits)));
        }
    }
}

}  // namespace vecrecall::search
