#include "scan/scanner.hpp"

#include <algorithm>
#include <numeric>

namespace vecrecall::scan {
namespace {

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

// The codes have failed when handling hits costs about a twelfth of a float32 scan of the same
// items: a hit costs some 10 ns, a float32 multiply-add 1/57 ns, so one hit in 8192 / d items.
constexpr std::uint64_t kProductsAHit = 8192;

// A perfect scan has k ln(n / k) hits, and some more for what the bound leaves open.
constexpr std::uint64_t kHitsAnyway = 24;

// Blocks of a scanner before its hits are held against the codes: thresholds must settle first.
constexpr std::uint64_t kSettlingItems = 2 * kBlockItems;

// The first guess comes after this share of the items, the next ones after twice as many each.
constexpr std::size_t kFirstGuess = 64;

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
Limits limits_for(const Items& items, std::size_t k) {
    Limits limits{};
    limits.step = items.codes().empty() ? longest_step_f32(items.dim()) : kBlockItems;
    const std::size_t all = whole_words(items.size());
    limits.hard = std::max<std::size_t>(4 * std::min(k, all), 4096);
    limits.soft = std::min(limits.hard, std::max<std::size_t>(3 * std::min(k, all) / 2, 64));
    limits.room = std::min(limits.hard + limits.step, all);
    return limits;
}

Group::Group(const Job& job, std::size_t first_query, std::size_t count, bool guessing)
    : first_(first_query),
      guessing_(guessing),
      blocks_(job.items.blocks()),
      stride_(guessing ? golden_stride(blocks_) : 1),
      thresholds_(count) {
    for (auto& t : thresholds_) t.store(job.first_threshold, std::memory_order_relaxed);
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
      next_guess_(group.guessing() ? job.items.size() / kFirstGuess : job.items.size()) {
    if (!job.items.codes().empty()) codes_ = step_i8(job, group.first(), group.size());
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
        if (items_seen_ >= next_guess_) guess_all();
        blocks_done_.push_back(b);
        if (codes_ && (giving_up_ || codes_fail())) give_up_codes();
    }
}

// By the codes, unless they were given up or a few huge values have spoilt this block's.
void Scanner::choose_stepper(std::size_t block) {
    const bool by_codes = codes_ && !job_.items.codes().coarse(block);
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
    choose_stepper(block);
    const std::size_t end = std::min(job_.items.size(), (block + 1) * kBlockItems);
    items_seen_ += end - block * kBlockItems;
    if (out_of_reach()) return;
    for (std::size_t first = block * kBlockItems; first < end && !giving_up_;) {
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
    for (std::size_t q = 0; q < group_.size(); ++q) {
        Candidates& candidates = candidates_[q];
        const std::uint32_t count = step_.hits[q].count;
        if (count == candidates.size()) continue;
        if (coded_items_ > kSettlingItems * group_.size()) hits_seen_ += count - candidates.size();
        take_in(q, count);
        if (candidates.crowded()) tighten(q);
    }
}

void Scanner::take_in(std::size_t q, std::uint32_t count) {
    Candidates& candidates = candidates_[q];
    const IdSet& excluded = job_.queries[group_.first() + q].excluded;
    const IdMap& ids = job_.items.ids();
    const std::uint32_t first = candidates.size();
    candidates.take_in(count, stepper_->certificate(q),
                       [&](std::uint32_t row) { excluded.prefetch(ids.id(row)); });
    if (excluded.empty()) return;
    candidates.leave_out(first, [&](std::uint32_t row) { return excluded.contains(ids.id(row)); });
}

void Scanner::tighten(std::size_t q) {
    candidates_[q].tighten(scratch_);
    group_.raise(q, candidates_[q].threshold());
    if (!candidates_[q].overfull() || giving_up_) return;
    const bool stuck = stepper_ == codes_.get() && early() && candidates_[q].indistinct(scratch_);
    if (stuck && ++stuck_ > group_.size() / 8) giving_up_ = true;
    else make_exact(q);
}

void Scanner::guess_all() {
    const double share = static_cast<double>(items_seen_) / static_cast<double>(job_.items.size());
    for (std::size_t q = 0; q < group_.size(); ++q) {
        candidates_[q].guess(share, scratch_);
        group_.raise(q, candidates_[q].threshold());
    }
    next_guess_ = 2 * items_seen_;
}

void Scanner::make_exact(std::size_t q) {
    const std::uint64_t before = candidates_[q].rescored();
    candidates_[q].make_exact(
        [&](const std::uint32_t* rows, std::size_t n, float* scores) {
            job_.score(group_.first() + q, rows, n, scores);
        },
        job_.items.ids());
    hits_seen_ += 4 * (candidates_[q].rescored() - before);  // an exact score costs some 40 ns
    group_.raise(q, candidates_[q].threshold());
}

// So few blocks are done that scanning them again would cost little.
bool Scanner::early() const {
    return blocks_done_.size() < std::max<std::size_t>(4, job_.items.blocks() / 8);
}

// On data finer than the codes' bound nearly everything is a hit.
bool Scanner::codes_fail() const {
    const std::uint64_t settled = kSettlingItems * group_.size();
    if (coded_items_ <= settled) return false;
    const std::uint64_t any_scan_has =
        kHitsAnyway * std::max<std::uint64_t>(job_.options.k, 32) * group_.size();
    const std::uint64_t bearable = (coded_items_ - settled) * job_.items.dim() / kProductsAHit;
    return hits_seen_ > any_scan_has + bearable;
}

// The rest is scanned in float32. What the codes left undecided would have to be scored exactly,
// row by row; where few blocks are done, scanning them again costs a fraction of that.
void Scanner::give_up_codes() {
    const bool again = early() || giving_up_;
    codes_.reset();
    giving_up_ = false;
    if (!again) return;
    for (Candidates& candidates : candidates_) candidates.forget();
    items_seen_ = 0;
    for (const std::size_t block : blocks_done_) scan_block(block);
}

}  // namespace vecrecall::scan
