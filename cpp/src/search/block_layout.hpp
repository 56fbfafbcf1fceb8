// Where the blocks of a segment begin: in its rows, and in the numbers that its rows have.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/codes.hpp"

namespace vecrecall::search {

// Items share one bound within a block. Most blocks have so many; none has more.
inline constexpr std::size_t kBlockItems = 2048;

// Rows are numbered in 32 bits; some numbers are of no row.
inline constexpr std::size_t kMostSlots = std::size_t{1} << 31;

inline std::size_t blocks_for(std::size_t rows, std::size_t block_items = kBlockItems) {
    return (rows + block_items - 1) / block_items;
}

// Rows lie one behind the other. Every block begins on a whole word of liveness bits: its slot is
// the number of its first row, counted with the numbers that blocks before it leave unused.
class BlockLayout {
  public:
    // Blocks of one size, a multiple of kWordItems; the last may be shorter.
    BlockLayout(std::size_t rows, std::size_t block_items)
        : rows_(rows), block_items_(block_items), blocks_(blocks_for(rows, block_items)) {}
    // Lists, each of one or more blocks; at most kMostSlots slots.
    explicit BlockLayout(const std::vector<std::uint32_t>& list_sizes);

    std::size_t blocks() const { return blocks_; }
    std::size_t slots() const { return uniform() ? whole_words(rows_) : slots_.back(); }
    std::size_t first(std::size_t block) const {
        return uniform() ? block * block_items_ : firsts_[block];
    }
    std::size_t slot(std::size_t block) const {
        return uniform() ? block * block_items_ : slots_[block];
    }
    std::size_t size(std::size_t block) const {
        return uniform() ? std::min(block_items_, rows_ - block * block_items_)
                         : firsts_[block + 1] - firsts_[block];
    }
    std::size_t slot_of_row(std::size_t row) const;

  private:
    bool uniform() const { return slots_.empty(); }

    std::size_t rows_;
    std::size_t block_items_;
    std::size_t blocks_;
    std::vector<std::uint32_t> firsts_;  // per block and one more; empty: uniform
    std::vector<std::uint32_t> slots_;
    std::vector<std::uint32_t> block_of_word_;  // of the rows: that of the first of every 64
};

}  // namespace vecrecall::search
