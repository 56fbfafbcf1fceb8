// A tile of queries that is answered together, and one thread's scan of it.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "platform/scratch.hpp"
#include "search/block_scanner.hpp"
#include "search/candidates.hpp"
#include "search/excluded_rows.hpp"
#include "search/search_context.hpp"

namespace vecrecall::search {

// The most candidates that are held for a query; see Candidates.
struct Limits {
    std::size_t soft;
    std::size_t hard;
    std::size_t step;  // most items between two looks at the buffers
    std::size_t room;  // hits a buffer must take
};

Limits limits_for(const SearchContext& context);

// Queries [first, first + n) of a batch against blocks that are claimed one at a time, so that
// several threads can share the work: each makes a Scanner of its own on the same QueryTile.
class QueryTile {
  public:
    // Guessing: thresholds run ahead of what is proved, from a sample of the items. The final list
    // must then prove them.
    QueryTile(const SearchContext& context, std::size_t first_query, std::size_t count,
              std::size_t scanners, bool guessing);

    std::size_t first() const { return first_; }
    std::size_t size() const { return thresholds_.size(); }
    bool alone() const { return alone_; }  // one scanner does it all
    bool guessing() const { return guessing_; }
    const ExcludedRows& excluded() const { return excluded_; }

    bool finished() const { return claimed_.load() >= blocks_; }
    // The next block that no thread has taken yet, or the number of blocks.
    std::size_t claim_block();

    // The highest that any thread has come to.
    float threshold(std::size_t q) const { return thresholds_[q].load(std::memory_order_relaxed); }
    void raise(std::size_t q, float threshold);
    // Only where nothing that was dropped is counted on any more.
    void lower_all(float threshold);

  private:
    std::size_t first_;
    bool alone_;
    bool guessing_;
    ExcludedRows excluded_;
    std::size_t blocks_;
    std::size_t stride_;
    std::atomic<std::size_t> claimed_{0};
    std::vector<std::atomic<float>> thresholds_;
};

// Which precisions a scan went through.
struct Precisions {
    bool int8 = false;
    bool float32 = false;
};

class Scanner {
  public:
    Scanner(const SearchContext& context, QueryTile& tile, const Limits& limits);

    // Scans blocks until none are left.
    void run();

    const Candidates& candidates(std::size_t q) const { return candidates_[q]; }
    std::uint64_t items_scanned() const { return items_scanned_; }
    Precisions precisions() const { return precisions_; }
    bool gave_up_codes() const { return gave_up_codes_; }

  private:
    void choose_block_scanner(const Block& block);
    bool out_of_reach() const;
    void scan_block(std::size_t block);
    void scan_step(std::size_t first, std::size_t n);
    void append();
    void tighten(std::size_t q);
    bool too_many_to_score(std::size_t q);
    double all_products() const;
    double seen_share() const;
    void count_ambiguous();
    void update_estimate();
    void rerank(std::size_t q);
    bool early() const;
    double hits_of_good_codes() const;
    bool int8_unprofitable() const;
    void fall_back_to_float32();

    const SearchContext& context_;
    QueryTile& tile_;
    const Limits& limits_;
    LiveBits live_;
    Scratch<kernels::Hit> hits_;
    Scratch<Interval> intervals_;
    std::vector<Candidates> candidates_;
    Step step_;
    std::unique_ptr<BlockScanner> codes_;    // null where there are none, or once they are given up
    std::unique_ptr<BlockScanner> floats_;   // made when first needed
    BlockScanner* block_scanner_ = nullptr;  // of the block at hand
    std::vector<float> scratch_;
    std::size_t step_items_;        // grows while the thresholds settle
    std::size_t longest_step_ = 0;  // of the block_scanner
    std::vector<std::size_t> blocks_done_;
    std::size_t items_seen_ = 0;
    std::size_t next_outlook_;   // at so many
    double n_ambiguous_ = 0;     // candidates that the codes will leave open, by the last outlook
    std::size_t stuck_ = 0;      // queries whose early candidates the codes could not tell apart
    bool falling_back_ = false;  // the codes, at once
    bool gave_up_codes_ = false;

    std::uint64_t items_scanned_ = 0;
    std::uint64_t coded_items_ = 0;  // of these, by the codes
    std::uint64_t hits_seen_ = 0;    // since the thresholds settled
    Precisions precisions_;
};

}  // namespace vecrecall::search
