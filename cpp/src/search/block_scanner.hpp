// One precision of the scan: how a tile's queries meet a step of items.
#pragma once

#include <memory>
#include <vector>

#include "search/bound.hpp"
#include "search/search_context.hpp"

namespace vecrecall::search {

// The inputs of a step for each query, and where its hits go.
struct Step {
    std::vector<float> thresholds;  // float32 scores that an item must be able to reach
    std::vector<const std::uint64_t*> live;
    std::vector<kernels::HitList> hits;
    // The block that is scanned next, where this step is the last of a block; null: what follows.
    const Block* next = nullptr;

    explicit Step(std::size_t queries) : thresholds(queries), live(queries), hits(queries) {}
};

class BlockScanner {
  public:
    virtual ~BlockScanner() = default;

    // The score bound of a query, by its number in the tile, over a block.
    virtual ScoreBound certify(const Block& block, std::size_t query) const = 0;
    // Before the steps of a block, for all queries.
    void enter_block(const Block& block);
    // For some of them: `queries` are their numbers in the tile, `bounds` what `certify` says of
    // each. Places in a step, and in score_bound, are those in `queries`.
    void enter_block(const Block& block, const std::vector<std::uint32_t>& queries,
                     const std::vector<ScoreBound>& bounds);
    // Rows first .. first + n - 1 of all, in that block; first is a multiple of 64.
    virtual void scan(std::size_t first, std::size_t n, Step& step) = 0;

    const ScoreBound& score_bound(std::size_t q) const { return score_bounds_[q]; }

  protected:
    BlockScanner(const SearchContext& context, std::size_t first_query, std::size_t n);

    // Of the block at hand.
    std::size_t n_queries() const { return selected_.size(); }
    const std::vector<std::uint32_t>& selected() const { return selected_; }
    const Query& query(std::size_t number) const { return context_.queries[first_query_ + number]; }
    // The queries are others than those of the block before.
    virtual void select() = 0;
    // The block at hand is another one.
    virtual void enter() {}
    CenterTerms center_terms(const Block& block, std::size_t number) const {
        return search::center_terms(context_.table, context_.items, block, query(number));
    }
    void copy_offsets(std::size_t first, std::size_t n, float* to) const {
        block_.segment->copy_offsets(block_.local(first), n, to);
    }

    const SearchContext& context_;
    std::size_t first_query_;
    Block block_{};
    std::vector<ScoreBound> score_bounds_;

  private:
    std::vector<std::uint32_t> all_;
    std::vector<std::uint32_t> selected_;
};

// Over the rows in float32. A step has at most max_step items.
std::unique_ptr<BlockScanner> make_float32_scanner(const SearchContext& context,
                                                   std::size_t first_query, std::size_t n,
                                                   std::size_t max_step);
// Over the codes in int8; the items have codes.
std::unique_ptr<BlockScanner> make_int8_scanner(const SearchContext& context,
                                                std::size_t first_query, std::size_t n);

// The longest useful step of the float32 scan: its panels stay in the second-level cache.
std::size_t longest_step_f32(std::size_t dim);

}  // namespace vecrecall::search
