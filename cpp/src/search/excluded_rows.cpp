#include "search/excluded_rows.hpp"

#include <algorithm>
#include <numeric>

namespace vecrecall::search {
namespace {

constexpr std::size_t kBlockWords = kBlockItems / kernels::kWordItems;

}  // namespace

// A stable counting sort, so that a scan reads the entries of a block one after the other.
ExcludedRows::ExcludedRows(const SearchContext& context, std::size_t first, std::size_t n) {
    bool any = false;
    for (std::size_t q = 0; q < n; ++q) any = any || !context.queries[first + q].excluded.empty();
    if (!any) return;
    std::vector<std::size_t> places(context.items.blocks() + 1, 0);
    for (std::size_t q = 0; q < n; ++q) {
        for (const std::uint32_t row : context.queries[first + q].excluded) {
            ++places[context.items.block_number(row) + 1];
        }
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
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
    : context_(context), excluded_(excluded), first_(first), all_(n), words_(n) {
    std::iota(all_.begin(), all_.end(), 0U);
}

void LiveBits::enter_block(std::size_t block, const std::vector<std::uint32_t>& queries) {
    const Block& items = context_.items.block(block);
    const std::size_t n_words = whole_words(items.size) / kernels::kWordItems;
    first_row_ = items.first_row;
    words_.resize(queries.size());
    for (std::size_t i = 0; i < queries.size(); ++i) {
        words_[i] = context_.live(first_ + queries[i]) + first_row_ / kernels::kWordItems;
    }
    std::size_t i = 0;
    for (const auto& [q, row] : excluded_.of_block(block)) {
        while (i < queries.size() && queries[i] < q) ++i;
        if (i == queries.size()) break;
        if (queries[i] != q) continue;
        std::uint64_t* words = own(i);
        if (words_[i] != words) {
            std::copy_n(words_[i], n_words, words);
            words_[i] = words;
        }
        words[(row - first_row_) / kernels::kWordItems] &=
            ~(std::uint64_t{1} << row % kernels::kWordItems);
    }
}

std::uint64_t* LiveBits::own(std::size_t i) {
    if (own_.empty()) own_.resize(all_.size() * kBlockWords);
    return own_.data() + i * kBlockWords;
}

}  // namespace vecrecall::search
