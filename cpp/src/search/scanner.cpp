#include "search/scanner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "platform/cancelling.hpp"

namespace vecrecall::scan {
namespace {

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

// The codes have failed when handling hits costs about a twelfth of a float32 scan of the same
// items: a hit costs some 10 ns, a float32 multiply-add 1/57 ns, so one hit in 8192 / d items.
constexpr double kProductsAHit = 8192;

// An exact score of a row somewhere costs some 40 ns at 64 dimensions, and 500 ns at 1536, where it
// waits for memory. What they may cost in the end is most of a float32 scan.
constexpr std::uint64_t kHitsAScore = 4;
double products_a_score(std::size_t dim) { return 2000 + 18 * static_cast<double>(dim); }

// What may be lost before thresholds have risen, as a share of a float32 scan of everything: many
// dimensions make wide bounds, which let most hits through at the start and few later on.
constexpr double kStake = 1.0 / 16;

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
Limits limits_for(const Job& job) {
    const std::size_t k = job.options.k;
    Limits limits{};
    limits.step = job.codes ? kBlockItems : longest_step_f32(job.items.dim());
    const std::size_t all = whole_words(job.items.rows());
    limits.hard = std::max<std::size_t>(4 * std::min(k, all), 4096);
    limits.soft = std::min(limits.hard, std::max<std::size_t>(3 * std::min(k, all) / 2, 64));
    limits.room = std::min(limits.hard + limits.step, all);
    return limits;
}

Group::Group(const Job& job, std::size_t first_query, std::size_t count, std::size_t scanners,
             bool guessing)
    : first_(first_query),
      alone_(scanners == 1),
      guessing_(guessing),
      blocks_(job.items.blocks()),
      stride_(guessing ? golden_stride(blocks_) : 1),
      thresholds_(count) {
    lower_all(job.first_threshold);
}

void Group::lower_all(float threshold) {
    for (auto& t : thresholds_) t.store(threshold, std::memory_order_relaxed);
}

std::size_t Group::claim_block() {
    const std::size_t visit = claimed_++;
    return visit < blocks_ ? visit * stride_ % blocks_ : blocks_;
}

void Group::raise(std::size_t q, float threshold) {
    float seen = this->threshold(q);
    while (seen < threshold && !thresholds_[q].compare_exchange_weak(seen, threshold)) {
    }
}

Scanner::Scanner(const Job& job, Group& group, const Limits& limits)
    : job_(job),
      group_(group),
      limits_(limits),
      hits_(checked_product(group.size(), limits.room)),
      intervals_(checked_product(group.size(), limits.room)),
      step_(group.size()),
      step_items_(std::min(kFirstStep, limits.step)),
      next_outlook_(std::max(job.items.rows() / kFirstOutlook, kFewestToJudge)) {
    if (job.codes) codes_ = step_i8(job, group.first(), group.size());
    candidates_.reserve(group.size());
    for (std::size_t q = 0; q < group.size(); ++q) {
        candidates_.emplace_back(job.table, hits_.data() + q * limits.room,
                                 intervals_.data() + q * limits.room, job.options.k, limits.soft,
                                 limits.hard, job.first_threshold);
    }
}

void Scanner::run() {
    for (std::size_t b = group_.claim_block(); b < job_.items.blocks(); b = group_.claim_block()) {
        scan_block(b);
        blocks_done_.push_back(b);
        if (codes_ && items_seen_ >= next_outlook_) count_undecided();
        if (codes_ && (giving_up_ || codes_fail())) give_up_codes();
        if (codes_ && items_seen_ >= next_outlook_) look_ahead();
    }
}

// By the codes, unless they were given up or a few huge values have spoilt this block's.
void Scanner::choose_stepper(const Block& block) {
    const bool by_codes = codes_ && !job_.items.coarse(block);
    const std::size_t longest = longest_step_f32(job_.items.dim());
    if (!by_codes && !floats_) floats_ = step_f32(job_, group_.first(), group_.size(), longest);
    stepper_ = by_codes ? codes_.get() : floats_.get();
    longest_step_ = by_codes ? limits_.step : std::min(limits_.step, longest);
    (by_codes ? precisions_.int8 : precisions_.float32) = true;
    stepper_->enter_block(block);
}

// No item of the block at hand can reach any query's threshold.
bool Scanner::out_of_reach() const {
    for (std::size_t q = 0; q < group_.size(); ++q) {
        const float threshold = std::max(candidates_[q].threshold(), group_.threshold(q));
        if (!(static_cast<float>(stepper_->certificate(q).largest) < threshold)) return false;
    }
    return true;
}

void Scanner::scan_block(std::size_t block) {
    choose_stepper(job_.items.block(block));
    const std::size_t end = block * kBlockItems + job_.items.block(block).size();
    items_seen_ += job_.items.block(block).size();
    if (out_of_reach()) return;
    for (std::size_t first = block * kBlockItems; first < end && !giving_up_;) {
        check_cancelled();
        const std::size_t n = std::min({step_items_, longest_step_, end - first});
        scan_step(first, n);
        first += n;
        step_items_ = std::min(2 * step_items_, limits_.step);
    }
}

void Scanner::scan_step(std::size_t first, std::size_t n) {
    for (std::size_t q = 0; q < group_.size(); ++q) {
        Candidates& candidates = candidates_[q];
        candidates.raise_threshold(group_.threshold(q));
        step_.thresholds[q] = candidates.threshold();
        step_.live[q] = job_.live(group_.first() + q) + first / kernels::kWordItems;
        step_.hits[q] = candidates.list();
    }
    stepper_->scan(first, n, step_);
    items_scanned_ += n * group_.size();
    if (stepper_ == codes_.get()) coded_items_ += n * group_.size();
    take_in();
}

void Scanner::take_in() {
    constexpr std::size_t kAhead = 4;  // queries; each has a few hits a step
    for (std::size_t q = 0; q < std::min(kAhead, group_.size()); ++q) fetch_excluded(q);
    for (std::size_t q = 0; q < group_.size(); ++q) {
        if (q + kAhead < group_.size()) fetch_excluded(q + kAhead);
        Candidates& candidates = candidates_[q];
        const std::uint32_t count = step_.hits[q].count;
        if (count == candidates.size()) continue;
        if (coded_items_ > kSettlingItems * group_.size()) hits_seen_ += count - candidates.size();
        take_in(q, count);
        if (candidates.crowded()) tighten(q);
    }
}

// What the hits of query q will be looked up in: with that of many queries it is in no near cache.
void Scanner::fetch_excluded(std::size_t q) const {
    const IdSet& excluded = job_.queries[group_.first() + q].excluded;
    if (excluded.empty()) return;
    const kernels::HitList& list = step_.hits[q];
    for (std::uint32_t i = candidates_[q].size(); i < list.count; ++i) {
        excluded.prefetch(job_.items.id(list.hits[i].row));
    }
}

void Scanner::take_in(std::size_t q, std::uint32_t count) {
    candidates_[q].take_in(count, stepper_->certificate(q), [&](std::uint32_t row) {
        return !job_.excluded(group_.first() + q, row);
    });
}

void Scanner::tighten(std::size_t q) {
    check_cancelled();  // hundreds of thousands of candidates, where lists are that long
    candidates_[q].tighten(scratch_);
    group_.raise(q, candidates_[q].threshold());
    if (!candidates_[q].overfull() || giving_up_) return;
    const bool stuck = stepper_ == codes_.get() && early() && too_many_to_score(q);
    if (stuck && ++stuck_ > group_.size() / 8) giving_up_ = true;
    else make_exact(q);
}

// Exact scores that would take an eighth of a float32 scan, or leave the buffer as full as it is.
bool Scanner::too_many_to_score(std::size_t q) {
    const double undecided = candidates_[q].undecided(1.0, scratch_);
    const double room =
        0.75 * static_cast<double>(limits_.hard) - static_cast<double>(job_.options.k);
    return undecided > std::min(room, all_products() / products_a_score(job_.items.dim()) / 8);
}

double Scanner::all_products() const {
    return static_cast<double>(job_.items.rows()) * static_cast<double>(job_.items.dim());
}

double Scanner::seen_share() const {
    return static_cast<double>(items_seen_) / static_cast<double>(job_.items.rows());
}

void Scanner::count_undecided() {
    undecided_ = 0;
    for (const Candidates& c : candidates_) undecided_ += c.undecided(seen_share(), scratch_);
}

void Scanner::look_ahead() {
    next_outlook_ = 2 * items_seen_;
    if (!group_.guessing()) return;
    for (std::size_t q = 0; q < group_.size(); ++q) {
        candidates_[q].guess(seen_share(), scratch_);
        group_.raise(q, candidates_[q].threshold());
    }
}

void Scanner::make_exact(std::size_t q) {
    const std::uint64_t before = candidates_[q].rescored();
    candidates_[q].make_exact(
        [&](const std::uint32_t* rows, std::size_t n, float* scores) {
            job_.score(group_.first() + q, rows, n, scores);
        },
        job_.items);
    hits_seen_ += kHitsAScore * (candidates_[q].rescored() - before);
    group_.raise(q, candidates_[q].threshold());
}

// So few blocks are done that scanning them again would cost little.
bool Scanner::early() const {
    return blocks_done_.size() < std::max<std::size_t>(4, job_.items.blocks() / 8);
}

// Three times the hits of a perfect scan, k (1 + ln(n / k)), for what the bounds leave open.
double Scanner::hits_of_good_codes() const {
    const auto n = static_cast<double>(job_.items.rows());
    const double k = std::min(static_cast<double>(job_.options.k), n);
    return 3 * k * (1 + std::log(n / k)) + 768;
}

// On data finer than the codes' bound nearly everything is a hit, or stays undecided to the end.
bool Scanner::codes_fail() const {
    const std::uint64_t settled = kSettlingItems * group_.size();
    if (coded_items_ <= settled) return false;
    const auto n = static_cast<double>(group_.size());
    const auto dim = static_cast<double>(job_.items.dim());
    if (undecided_ > n * all_products() / products_a_score(job_.items.dim())) return true;
    const double stake = n * kStake * all_products();
    const double scanned = static_cast<double>(coded_items_ - settled) * dim;
    const double bearable = (stake + scanned) / kProductsAHit;
    return static_cast<double>(hits_seen_) > n * hits_of_good_codes() + bearable;
}

// The rest is scanned in float32. What the codes left undecided would have to be scored exactly,
// row by row; where few blocks are done, scanning them again costs a fraction of that. A guess that
// was made with bad codes is then taken back, unless other threads have dropped items by it.
void Scanner::give_up_codes() {
    const bool again = early() || giving_up_;
    codes_.reset();
    giving_up_ = false;
    gave_up_codes_ = true;
    if (!again) return;
    items_seen_ = 0;
    if (group_.alone()) group_.lower_all(job_.first_threshold);
    for (std::size_t q = 0; q < group_.size(); ++q) candidates_[q].restart(group_.threshold(q));
    for (const std::size_t block : blocks_done_) scan_block(block);
}

}  // namespace vecrecall::scan
