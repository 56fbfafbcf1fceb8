#include "search/scanner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

// The codes have failed when handling hits costs about a twelfth of a float32 scan of the same
// items: a hit costs about 10 ns, a float32 multiply-add 1/57 ns, so one hit in 8192 / d items.
constexpr double kProductsAHit = 8192;

// An exact score of a row somewhere costs about 40 ns at 64 dimensions and 500 ns at 1536, where it
// waits for memory. In the end they may cost at most a float32 scan.
constexpr std::uint64_t kHitsAScore = 4;
double products_a_score(std::size_t dim) { return 2000 + 18 * static_cast<double>(dim); }

// The share of a float32 scan that may be lost before thresholds have risen: many
// dimensions make wide bounds, which let most hits through at the start and few later on.
constexpr double kWarmupBudget = 1.0 / 16;

// Items of a scanner before its hits are held against the codes: thresholds must settle first.
constexpr std::uint64_t kSettlingItems = 2 * kBlockItems;

// The first outlook comes after this share of the items, the next ones after twice as many each.
constexpr std::size_t kFirstOutlook = 64;
// But not before the codes have shown that they select.
constexpr std::size_t kFewestToJudge = 6 * kBlockItems;

// Blocks are visited in steps of the golden section, so that any run of visits is spread evenly
// over the items, whatever order those have.
std::size_t golden_stride(std::size_t blocks) {
    auto stride = static_cast<std::size_t>(0.6180339887 * static_cast<double>(blocks));
    while (std::gcd(stride, blocks) != 1) ++stride;
    return stride;
}

}  // namespace

// Soft: looking whenever the candidates have grown by half keeps the hits of a whole scan within a
// quarter of k ln(n / k), what a perfect threshold would let through, at a few comparisons a hit.
// Hard: the promise of bounded memory.
Limits limits_for(const SearchContext& context) {
    const std::size_t k = context.options.k;
    Limits limits{};
    limits.step = context.codes ? kBlockItems : longest_step_f32(context.items.dim());
    const std::size_t all = whole_words(context.items.rows());
    limits.hard = std::max<std::size_t>(4 * std::min(k, all), 4096);
    limits.soft = std::min(limits.hard, std::max<std::size_t>(3 * std::min(k, all) / 2, 64));
    limits.room = std::min(limits.hard + limits.step, all);
    return limits;
}

QueryTile::QueryTile(const SearchContext& context, std::size_t first_query, std::size_t count,
                     std::size_t scanners, bool guessing)
    : first_(first_query),
      alone_(scanners == 1),
      guessing_(guessing),
      excluded_(context, first_query, count),
      blocks_(context.items.blocks()),
      stride_(guessing ? golden_stride(blocks_) : 1),
      thresholds_(count) {
    lower_all(context.first_threshold);
}

void QueryTile::lower_all(float threshold) {
    for (auto& t : thresholds_) t.store(threshold, std::memory_order_relaxed);
}

std::size_t QueryTile::claim_block() {
    const std::size_t visit = claimed_++;
    return visit < blocks_ ? visit * stride_ % blocks_ : blocks_;
}

void QueryTile::raise(std::size_t q, float threshold) {
    float seen = this->threshold(q);
    while (seen < threshold && !thresholds_[q].compare_exchange_weak(seen, threshold)) {
    }
}

Scanner::Scanner(const SearchContext& context, QueryTile& tile, const Limits& limits)
    : context_(context),
      tile_(tile),
      limits_(limits),
      live_(context, tile.excluded(), tile.first(), tile.size()),
      hits_(checked_product(tile.size(), limits.room)),
      intervals_(checked_product(tile.size(), limits.room)),
      step_(tile.size()),
      step_items_(std::min(kFirstStep, limits.step)),
      next_outlook_(std::max(context.items.rows() / kFirstOutlook, kFewestToJudge)) {
    if (context.codes) codes_ = make_int8_scanner(context, tile.first(), tile.size());
    candidates_.reserve(tile.size());
    for (std::size_t q = 0; q < tile.size(); ++q) {
        candidates_.emplace_back(context.table, hits_.data() + q * limits.room,
                                 intervals_.data() + q * limits.room, context.options.k,
                                 limits.soft, limits.hard, context.first_threshold);
    }
}

void Scanner::run() {
    for (std::size_t b = tile_.claim_block(); b < context_.items.blocks();
         b = tile_.claim_block()) {
        scan_block(b);
        blocks_done_.push_back(b);
        if (codes_ && items_seen_ >= next_outlook_) count_ambiguous();
        if (codes_ && (falling_back_ || int8_unprofitable())) fall_back_to_float32();
        if (codes_ && items_seen_ >= next_outlook_) update_estimate();
    }
}

// By the codes, unless they were given up or a few huge values have spoilt this block's.
void Scanner::choose_block_scanner(const Block& block) {
    const bool by_codes = codes_ && !context_.items.has_outliers(block);
    const std::size_t longest = longest_step_f32(context_.items.dim());
    if (!by_codes && !floats_)
        floats_ = make_float32_scanner(context_, tile_.first(), tile_.size(), longest);
    block_scanner_ = by_codes ? codes_.get() : floats_.get();
    longest_step_ = by_codes ? limits_.step : std::min(limits_.step, longest);
    (by_codes ? precisions_.int8 : precisions_.float32) = true;
    block_scanner_->enter_block(block);
}

// No item of the block at hand can reach any query's threshold.
bool Scanner::out_of_reach() const {
    for (std::size_t q = 0; q < tile_.size(); ++q) {
        const float threshold = std::max(candidates_[q].threshold(), tile_.threshold(q));
        if (!(static_cast<float>(block_scanner_->score_bound(q).largest) < threshold)) return false;
    }
    return true;
}

void Scanner::scan_block(std::size_t block) {
    const Block& items = context_.items.block(block);
    choose_block_scanner(items);
    const std::size_t end = items.first_row + items.size;
    items_seen_ += items.size;
    if (out_of_reach()) return;
    live_.enter_block(block);
    for (std::size_t first = items.first_row; first < end && !falling_back_;) {
        check_cancelled();
        const std::size_t n = std::min({step_items_, longest_step_, end - first});
        scan_step(first, n);
        first += n;
        step_items_ = std::min(2 * step_items_, limits_.step);
    }
}

void Scanner::scan_step(std::size_t first, std::size_t n) {
    for (std::size_t q = 0; q < tile_.size(); ++q) {
        Candidates& candidates = candidates_[q];
        candidates.raise_threshold(tile_.threshold(q));
        step_.thresholds[q] = candidates.threshold();
        step_.live[q] = live_.word(q, first);
        step_.hits[q] = candidates.list();
    }
    block_scanner_->scan(first, n, step_);
    items_scanned_ += n * tile_.size();
    if (block_scanner_ == codes_.get()) coded_items_ += n * tile_.size();
    append();
}

void Scanner::append() {
    for (std::size_t q = 0; q < tile_.size(); ++q) {
        Candidates& candidates = candidates_[q];
        const std::uint32_t count = step_.hits[q].count;
        if (count == candidates.size()) continue;
        if (coded_items_ > kSettlingItems * tile_.size()) hits_seen_ += count - candidates.size();
        candidates.append(count, block_scanner_->score_bound(q));
        if (candidates.crowded()) tighten(q);
    }
}

void Scanner::tighten(std::size_t q) {
    check_cancelled();  // hundreds of thousands of candidates, where lists are that long
    candidates_[q].tighten(scratch_);
    tile_.raise(q, candidates_[q].threshold());
    if (!candidates_[q].is_saturated() || falling_back_) return;
    const bool stuck = block_scanner_ == codes_.get() && early() && too_many_to_score(q);
    if (stuck && ++stuck_ > tile_.size() / 8) falling_back_ = true;
    else rerank(q);
}

// Exact scores that would take an eighth of a float32 scan, or leave the buffer as full as it is.
bool Scanner::too_many_to_score(std::size_t q) {
    const double n_ambiguous = candidates_[q].n_ambiguous(1.0, scratch_);
    const double room =
        0.75 * static_cast<double>(limits_.hard) - static_cast<double>(context_.options.k);
    return n_ambiguous >
           std::min(room, all_products() / products_a_score(context_.items.dim()) / 8);
}

double Scanner::all_products() const {
    return static_cast<double>(context_.items.rows()) * static_cast<double>(context_.items.dim());
}

double Scanner::seen_share() const {
    return static_cast<double>(items_seen_) / static_cast<double>(context_.items.rows());
}

void Scanner::count_ambiguous() {
    n_ambiguous_ = 0;
    for (const Candidates& c : candidates_) n_ambiguous_ += c.n_ambiguous(seen_share(), scratch_);
}

void Scanner::update_estimate() {
    next_outlook_ = 2 * items_seen_;
    if (!tile_.guessing()) return;
    for (std::size_t q = 0; q < tile_.size(); ++q) {
        candidates_[q].guess(seen_share(), scratch_);
        tile_.raise(q, candidates_[q].threshold());
    }
}

void Scanner::rerank(std::size_t q) {
    const std::uint64_t before = candidates_[q].reranked();
    candidates_[q].rerank(
        [&](const std::uint32_t* rows, std::size_t n, float* scores) {
            context_.score(tile_.first() + q, rows, n, scores);
        },
        context_.items);
    hits_seen_ += kHitsAScore * (candidates_[q].reranked() - before);
    tile_.raise(q, candidates_[q].threshold());
}

// So few blocks are done that scanning them again would cost little.
bool Scanner::early() const {
    return blocks_done_.size() < std::max<std::size_t>(4, context_.items.blocks() / 8);
}

// Three times the hits of a perfect scan, k (1 + ln(n / k)), for what the bounds leave open.
double Scanner::hits_of_good_codes() const {
    const auto n = static_cast<double>(context_.items.rows());
    const double k = std::min(static_cast<double>(context_.options.k), n);
    return 3 * k * (1 + std::log(n / k)) + 768;
}

// On data finer than the codes' bound nearly everything is a hit, or stays n_ambiguous to the end.
bool Scanner::int8_unprofitable() const {
    const std::uint64_t settled = kSettlingItems * tile_.size();
    if (coded_items_ <= settled) return false;
    const auto n = static_cast<double>(tile_.size());
    const auto dim = static_cast<double>(context_.items.dim());
    if (n_ambiguous_ > n * all_products() / products_a_score(context_.items.dim())) return true;
    const double warmup_budget = n * kWarmupBudget * all_products();
    const double scanned = static_cast<double>(coded_items_ - settled) * dim;
    const double bearable = (warmup_budget + scanned) / kProductsAHit;
    return static_cast<double>(hits_seen_) > n * hits_of_good_codes() + bearable;
}

// The rest is scanned in float32. Items that the codes leave ambiguous would be scored exactly,
// row by row; where few blocks are done, scanning them again costs a fraction of that. A guess that
// was made with bad codes is then taken back, unless other threads have dropped items by it.
void Scanner::fall_back_to_float32() {
    const bool again = early() || falling_back_;
    codes_.reset();
    falling_back_ = false;
    gave_up_codes_ = true;
    if (!again) return;
    items_seen_ = 0;
    if (tile_.alone()) tile_.lower_all(context_.first_threshold);
    for (std::size_t q = 0; q < tile_.size(); ++q) candidates_[q].restart(tile_.threshold(q));
    for (const std::size_t block : blocks_done_) scan_block(block);
}

}  // namespace vecrecall::search
