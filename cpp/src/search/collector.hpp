// The items that reach a score, collected block by block by one thread at a time.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "platform/scratch.hpp"
#include "search/block_scanner.hpp"
#include "search/excluded_rows.hpp"
#include "search/rerank.hpp"
#include "search/search_context.hpp"

namespace vecrecall::search {

// For queries [first, first + n) of a batch. Every hit of the scan is scored exactly at once, while
// its row is near, and kept if its score is no less than the query's threshold. context.options.k
// is the most that a list may have: where more are found, the threshold, which all collectors of
// the queries share, rises to the score of the last of the best.
class Collector {
  public:
    Collector(const SearchContext& context, const ExcludedRows& excluded, std::size_t first,
              std::size_t n, std::atomic<float>* thresholds);

    void scan(std::size_t block);
    // Forgets all queries but the first n.
    void keep_queries(std::size_t n);
    std::size_t n_queries() const { return found_.size(); }
    std::vector<Scored>& found(std::size_t q) { return found_[q]; }
    std::size_t entries() const;  // of all queries

  private:
    void choose_block_scanner(const Block& block);
    bool out_of_reach() const;
    void scan_step(std::size_t first, std::size_t n);
    void append(std::size_t q);
    void keep_within_limit(std::size_t q);
    bool int8_unprofitable() const;
    float threshold(std::size_t q) const { return thresholds_[q].load(std::memory_order_relaxed); }

    const SearchContext& context_;
    const ExcludedRows& excluded_;
    std::size_t first_;
    std::atomic<float>* thresholds_;
    std::vector<std::vector<Scored>> found_;
    Scratch<kernels::Hit> hits_;
    std::unique_ptr<LiveBits> live_;
    std::unique_ptr<Step> step_;
    bool by_codes_;                        // until they are given up
    std::unique_ptr<BlockScanner> codes_;  // both are made when first needed
    std::unique_ptr<BlockScanner> floats_;
    BlockScanner* block_scanner_ = nullptr;  // of the block at hand
    std::size_t step_items_;                 // grows while a limit raises the thresholds
    std::vector<std::uint32_t> rows_;        // of a step's hits, with their scores
    std::vector<float> scores_;
    std::uint64_t coded_items_ = 0;
    std::uint64_t in_vain_ = 0;  // scored for nothing, of these
};

}  // namespace vecrecall::search
