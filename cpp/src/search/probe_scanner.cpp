#include "search/probe_scanner.hpp"

#include <algorithm>

#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

// While a query has no candidates, more of a step are hits than will be of use.
constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

}  // namespace

ProbeScanner::ProbeScanner(const SearchContext& context, const Limits& limits, std::size_t first,
                           std::size_t n)
    : context_(context),
      limits_(limits),
      first_query_(first),
      excluded_(context, first, n),
      live_(context, excluded_, first, n),
      hits_(checked_product(n, limits.room)),
      intervals_(checked_product(n, limits.room)),
      step_(n) {
    const std::size_t longest = longest_step_f32(context.items.dim());
    scanner_ = context.codes ? make_int8_scanner(context, first, n)
                             : make_float32_scanner(context, first, n, longest);
    longest_step_ = context.codes ? limits.step : std::min(limits.step, longest);
    candidates_.reserve(n);
    for (std::size_t q = 0; q < n; ++q) {
        candidates_.emplace_back(context.table, hits_.data() + q * limits.room,
                                 intervals_.data() + q * limits.room, context.options.k,
                                 limits.soft, limits.hard, context.first_threshold);
    }
}

// Those of the queries whose thresholds an item of the block can reach.
void ProbeScanner::select(const Block& block, const std::vector<std::uint32_t>& queries) {
    selected_.clear();
    bounds_.clear();
    for (const std::uint32_t q : queries) {
        const ScoreBound bound = scanner_->certify(block, q);
        if (static_cast<float>(bound.largest) < candidates_[q].threshold()) continue;
        selected_.push_back(q);
        bounds_.push_back(bound);
    }
}

void ProbeScanner::scan(const Block& block, const std::vector<std::uint32_t>& queries,
                        const Block* next) {
    select(block, queries);
    if (selected_.empty()) return;
    scanner_->enter_block(block, selected_, bounds_);
    live_.enter_block(context_.items.block_number(block.first_row), selected_);
    const bool fresh = std::any_of(selected_.begin(), selected_.end(),
                                   [&](std::uint32_t q) { return candidates_[q].size() == 0; });
    std::size_t step_items = fresh ? std::min(kFirstStep, longest_step_) : longest_step_;
    const std::size_t end = block.first_row + block.size;
    for (std::size_t first = block.first_row; first < end;) {
        check_cancelled();
        const std::size_t n = std::min(step_items, end - first);
        step_.next = first + n == end ? next : nullptr;
        scan_step(first, n);
        first += n;
        step_items = std::min(2 * step_items, longest_step_);
    }
}

void ProbeScanner::scan_step(std::size_t first, std::size_t n) {
    for (std::size_t i = 0; i < selected_.size(); ++i) {
        const Candidates& candidates = candidates_[selected_[i]];
        step_.thresholds[i] = candidates.threshold();
        step_.live[i] = live_.word(i, first);
        step_.hits[i] = candidates.list();
    }
    scanner_->scan(first, n, step_);
    items_scanned_ += n * selected_.size();
    for (std::size_t i = 0; i < selected_.size(); ++i) {
        if (step_.hits[i].count != candidates_[selected_[i]].size()) append(i);
    }
}

void ProbeScanner::append(std::size_t slot) {
    const std::uint32_t q = selected_[slot];
    candidates_[q].append(step_.hits[slot].count, scanner_->score_bound(slot));
    if (candidates_[q].crowded()) tighten(q);
}

void ProbeScanner::tighten(std::size_t q) {
    check_cancelled();
    Candidates& candidates = candidates_[q];
    candidates.tighten(scratch_);
    if (!candidates.is_saturated()) return;
    candidates.rerank([&](const std::uint32_t* rows, std::size_t n,
                          float* scores) { context_.score(first_query_ + q, rows, n, scores); },
                      context_.items);
}

}  // namespace vecrecall::search
