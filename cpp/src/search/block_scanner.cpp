#include "search/block_scanner.hpp"

#include <numeric>

namespace vecrecall::search {

BlockScanner::BlockScanner(const SearchContext& context, std::size_t first_query, std::size_t n)
    : context_(context), first_query_(first_query), score_bounds_(n), all_(n), selected_(n) {
    std::iota(all_.begin(), all_.end(), 0U);
    selected_ = all_;
}

void BlockScanner::enter_block(const Block& block) {
    if (selected_.size() != all_.size()) {
        selected_ = all_;
        select();
    }
    block_ = block;
    score_bounds_.resize(all_.size());
    for (std::size_t q = 0; q < all_.size(); ++q) score_bounds_[q] = certify(block, q);
    enter();
}

void BlockScanner::enter_block(const Block& block, const std::vector<std::uint32_t>& queries,
                               const std::vector<ScoreBound>& bounds) {
    if (queries != selected_) {
        selected_ = queries;
        select();
    }
    block_ = block;
    score_bounds_ = bounds;
    enter();
}

}  // namespace vecrecall::search
