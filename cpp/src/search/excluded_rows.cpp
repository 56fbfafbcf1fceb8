#include "search/excluded_rows.hpp"

#include <algorithm>
#include <numeric>

namespace vecrecall::search {
namespace {

constexpr std::size_t kBlockWords = kBlockItems / kernels::kWordItems;

}  // namespace

// A stable counting sort, so that a scan reads the entries of a block one after the other.
ExcludedRows::ExcludedRows(const SearchContext& context, std::size_t first, std::size_t n) {
    std::vector<std::size_t> places(context.items.blocks() + 1, 0);
    for (std::size_t q = 0; q < n; ++q) {
        for (const std::uint32_t row : context.queries[first + q].excluded) {
            ++places[context.items.block_number(row) + 1];
        }
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
    if (places.back() == 0) return;
    starts_ = places;
    entries_.resize(places.back());
    for (std::size_t q = 0; q < n; ++q) {
        for (const std::uint32_t row : context.queries[first + q].excluded) {
            entries_[places[context.items.block_number(row)]++] = {static_cast<std::uint32_t>(q),
                                                                   row};
        }
    }
}

LiveBits::LiveBits(const SearchContext& context, const ExcludedRows& excluded, std::size_t first,
                   std::size_t n)
    : context_(context), excluded_(excluded), first_(first), words_(n) {}

void LiveBits::enter_block(std::size_t block) {
    const Block& items = context_.items.block(block);
    const std::size_t n_words = whole_words(items.size) / kernels::kWordItems;
    first_row_ = items.first_row;
    for (std::size_t q = 0; q < words_.size(); ++q) {
        words_[q] = context_.live(first_ + q) + first_row_ / kernels::kWordItems;
    }
    for (const auto& [q, row] : excluded_.of_block(block)) {
        if (q >= words_.size()) break;
        std::uint64_t* words = own(q);
        if (words_[q] != words) {
            std::copy_n(words_[q], n_words, words);
            words_[q] = words;
        }
        words[(row - first_row_) / kernels::kWordItems] &=
            ~(std::uint64_t{1} << row % kernels::kWordItems);
    }
}

std::uint64_t* LiveBits::own(std::size_t q) {
    if (own_.empty()) own_.resize(words_.size() * kBlockWords);
    return own_.data() + q * kBlockWords;
}

}  // namespace vecrecall::search
