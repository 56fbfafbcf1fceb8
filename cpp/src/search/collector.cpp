#include "search/collector.hpp"

#include <algorithm>

namespace vecrecall::search {
namespace {

// The codes have failed when one item in so many is scored exactly for nothing, which costs as much
// as a float32 scan of all.
constexpr std::uint64_t kItemsAScore = 16;
constexpr std::uint64_t kItemsToJudge = 2 * kBlockItems;  // a query

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

// From here on only the best of a list are kept: a few comparisons for each that was added.
std::size_t most_entries(std::size_t limit) { return std::max<std::size_t>(2 * limit, 64); }

}  // namespace

Collector::Collector(const SearchContext& context, const ExcludedRows& excluded, std::size_t first,
                     std::size_t n, std::atomic<float>* thresholds)
    : context_(context),
      excluded_(excluded),
      first_(first),
      thresholds_(thresholds),
      found_(n),
      hits_(checked_product(n, kBlockItems)),
      by_codes_(context.codes),
      step_items_(context.options.k < context.items.size() ? kFirstStep : kBlockItems) {}

void Collector::keep_queries(std::size_t n) {
    if (n >= found_.size()) return;
    found_.resize(n);
    live_.reset();
    step_.reset();
    codes_.reset();
    floats_.reset();
}

// By the codes, unless they were given up or a few huge values have spoilt this block's.
void Collector::choose_block_scanner(const Block& block) {
    const bool by_codes = by_codes_ && !context_.items.has_outliers(block);
    if (!live_) live_ = std::make_unique<LiveBits>(context_, excluded_, first_, n_queries());
    if (!step_) step_ = std::make_unique<Step>(n_queries());
    if (by_codes && !codes_) codes_ = make_int8_scanner(context_, first_, n_queries());
    if (!by_codes && !floats_) {
        floats_ = make_float32_scanner(context_, first_, n_queries(),
                                       longest_step_f32(context_.items.dim()));
    }
    block_scanner_ = by_codes ? codes_.get() : floats_.get();
    block_scanner_->enter_block(block);
}

bool Collector::out_of_reach() const {
    for (std::size_t q = 0; q < n_queries(); ++q) {
        if (!(static_cast<float>(block_scanner_->score_bound(q).largest) < threshold(q)))
            return false;
    }
    return true;
}

std::size_t Collector::entries() const {
    std::size_t n = 0;
    for (const auto& list : found_) n += list.size();
    return n;
}

void Collector::scan(std::size_t block) {
    const Block& items = context_.items.block(block);
    choose_block_scanner(items);
    if (out_of_reach()) return;
    live_->enter_block(block);
    const bool coded = block_scanner_ == codes_.get();
    const std::size_t longest = coded ? kBlockItems : longest_step_f32(context_.items.dim());
    const std::size_t end = items.first_row + items.size;
    for (std::size_t first = items.first_row; first < end;) {
        const std::size_t n = std::min({step_items_, longest, end - first});
        scan_step(first, n);
        first += n;
        step_items_ = std::min(2 * step_items_, kBlockItems);
    }
    if (coded) coded_items_ += items.size * n_queries();
    if (by_codes_ && int8_unprofitable()) by_codes_ = false;
}

void Collector::scan_step(std::size_t first, std::size_t n) {
    for (std::size_t q = 0; q < n_queries(); ++q) {
        step_->thresholds[q] = threshold(q);
        step_->live[q] = live_->word(q, first);
        step_->hits[q] = {hits_.data() + q * kBlockItems, 0};
    }
    block_scanner_->scan(first, n, *step_);
    for (std::size_t q = 0; q < n_queries(); ++q) {
        if (step_->hits[q].count != 0) append(q);
    }
}

void Collector::append(std::size_t q) {
    const ScoreBound& bound = block_scanner_->score_bound(q);
    const kernels::HitList& list = step_->hits[q];
    const float reached = threshold(q);
    rows_.clear();
    for (std::uint32_t i = 0; i < list.count; ++i) {
        const kernels::Hit hit = list.hits[i];
        if (!(bound.highest(bound.value(hit.raw)) < reached)) rows_.push_back(hit.row);
    }
    scores_.resize(rows_.size());
    context_.score(first_ + q, rows_.data(), rows_.size(), scores_.data());
    std::vector<Scored>& found = found_[q];
    const std::size_t before = found.size();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (scores_[i] < reached) continue;
        found.push_back({scores_[i], context_.items.id(rows_[i])});
    }
    if (block_scanner_ == codes_.get()) in_vain_ += rows_.size() - (found.size() - before);
    if (found.size() >= most_entries(context_.options.k)) keep_within_limit(q);
}

void Collector::keep_within_limit(std::size_t q) {
    const std::size_t limit = context_.options.k;
    std::vector<Scored>& found = found_[q];
    keep_best(found, limit);
    float last = found.front().score;
    for (const Scored& s : found) last = std::min(last, s.score);
    float seen = threshold(q);
    while (seen < last && !thresholds_[q].compare_exchange_weak(seen, last)) {
    }
}

bool Collector::int8_unprofitable() const {
    return coded_items_ >= kItemsToJudge * n_queries() && in_vain_ * kItemsAScore > coded_items_;
}

}  // namespace vecrecall::search
