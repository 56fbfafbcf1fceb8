#include "search/block_layout.hpp"

namespace vecrecall::search {

BlockLayout::BlockLayout(const std::vector<std::uint32_t>& list_sizes)
    : rows_(0), block_items_(kBlockItems), blocks_(0), firsts_{0}, slots_{0} {
    for (std::size_t left : list_sizes) {
        while (left > 0) {
            const std::size_t n = std::min(left, kBlockItems);
            rows_ += n;
            firsts_.push_back(static_cast<std::uint32_t>(rows_));
            slots_.push_back(slots_.back() + static_cast<std::uint32_t>(whole_words(n)));
            left -= n;
        }
    }
    blocks_ = slots_.size() - 1;
    for (std::uint32_t block = 0, row = 0; row < rows_; row += kernels::kWordItems) {
        while (firsts_[block + 1] <= row) ++block;
        block_of_word_.push_back(block);
    }
}

std::size_t BlockLayout::slot_of_row(std::size_t row) const {
    if (uniform()) return row;
    std::size_t block = block_of_word_[row / kernels::kWordItems];
    while (firsts_[block + 1] <= row) ++block;
    return slots_[block] + row - firsts_[block];
}

}  // namespace vecrecall::search
