// Rows that queries must not get, and the bits of live rows without them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/search_context.hpp"

namespace vecrecall::search {

// Those of queries [first, first + n) of a batch, block by block.
class ExcludedRows {
  public:
    struct Entry {
        std::uint32_t query;  // of the n
        std::uint32_t row;
    };

    ExcludedRows(const SearchContext& context, std::size_t first, std::size_t n);

    // By query.
    std::span<const Entry> of_block(std::size_t block) const {
        if (entries_.empty()) return {};
        return {entries_.data() + starts_[block], entries_.data() + starts_[block + 1]};
    }

  private:
    std::vector<std::size_t> starts_;  // of every block's entries
    std::vector<Entry> entries_;
};

// The bits of live rows in one block at a time, as queries [first, first + n) of a batch see them.
class LiveBits {
  public:
    // The excluded rows may be those of more queries.
    LiveBits(const SearchContext& context, const ExcludedRows& excluded, std::size_t first,
             std::size_t n);

    void enter_block(std::size_t block) { enter_block(block, all_); }
    // For some of the queries, by their numbers among the n, ascending.
    void enter_block(std::size_t block, const std::vector<std::uint32_t>& queries);
    // The word of a row in that block; of some queries, by the place in `queries`.
    const std::uint64_t* word(std::size_t i, std::size_t row) const {
        return words_[i] + (row - first_row_) / kernels::kWordItems;
    }

  private:
    std::uint64_t* own(std::size_t i);

    const SearchContext& context_;
    const ExcludedRows& excluded_;
    std::size_t first_;
    std::vector<std::uint32_t> all_;
    std::size_t first_row_ = 0;                // of the block
    std::vector<const std::uint64_t*> words_;  // the block's first, per query
    std::vector<std::uint64_t> own_;  // a block's, of queries that have excluded rows there
};

}  // namespace vecrecall::search
