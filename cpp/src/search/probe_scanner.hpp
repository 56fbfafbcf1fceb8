// One thread's scan of the lists that a tile of queries probes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "platform/scratch.hpp"
#include "search/block_scanner.hpp"
#include "search/candidates.hpp"
#include "search/excluded_rows.hpp"
#include "search/scanner.hpp"
#include "search/search_context.hpp"

namespace vecrecall::search {

class ProbeScanner {
  public:
    ProbeScanner(const SearchContext& context, const Limits& limits, std::size_t first,
                 std::size_t n);

    // A block against some of the queries, by their numbers in the tile, ascending. `next` is where
    // the scan will go on, or null.
    void scan(const Block& block, const std::vector<std::uint32_t>& queries, const Block* next);

    float threshold(std::size_t q) const { return candidates_[q].threshold(); }
    const Candidates& candidates(std::size_t q) const { return candidates_[q]; }
    const BlockScanner& block_scanner() const { return *scanner_; }
    std::uint64_t items_scanned() const { return items_scanned_; }

  private:
    void select(const Block& block, const std::vector<std::uint32_t>& queries);
    void scan_step(std::size_t first, std::size_t n);
    void append(std::size_t slot);
    void tighten(std::size_t q);

    const SearchContext& context_;
    const Limits& limits_;
    std::size_t first_query_;
    ExcludedRows excluded_;
    LiveBits live_;
    Scratch<kernels::Hit> hits_;
    Scratch<Interval> intervals_;
    std::vector<Candidates> candidates_;
    Step step_;
    std::unique_ptr<BlockScanner> scanner_;
    std::size_t longest_step_;
    std::vector<std::uint32_t> selected_;
    std::vector<ScoreBound> bounds_;
    std::vector<float> scratch_;
    std::uint64_t items_scanned_ = 0;
};

}  // namespace vecrecall::search
