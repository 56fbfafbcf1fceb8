#include "search/candidates.hpp"

#include <algorithm>
#include <cmath>

#include "platform/canceling.hpp"

namespace vecrecall::search {

// Which hits are kept is hard to predict: no branch depends on it.
void Candidates::append(std::uint32_t count, const ScoreBound& bound) {
    std::uint32_t kept = count_;
    for (std::uint32_t i = count_; i < count; ++i) {
        const kernels::Hit hit = hits_[i];
        const double value = bound.value(hit.raw);
        const float highest = bound.highest(value);
        hits_[kept] = hit;
        intervals_[kept] = {bound.lowest(value), highest};
        kept += static_cast<std::uint32_t>(!(highest < threshold_));
    }
    count_ = kept;
}

// Without a branch on the data, which no predictor could follow.
void Candidates::drop_below_threshold() {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
        const std::uint32_t keep = intervals_[i].highest >= threshold_ ? 1U : 0U;
        hits_[kept] = hits_[i];
        intervals_[kept] = intervals_[i];
        kept += keep;
    }
    count_ = kept;
}

void Candidates::tighten(std::vector<float>& scratch) {
    scratch.resize(count_);
    for (std::uint32_t i = 0; i < count_; ++i) scratch[i] = intervals_[i].lowest;
    raise_threshold(table_.kth_largest_bound(scratch.data(), count_, k_));
    drop_below_threshold();
    // Room to gather half as many again before the next look.
    soft_limit_ = std::min(hard_limit_, std::max<std::size_t>(soft_limit_, count_ + count_ / 2));
}

// Of the k best of all items, the seen share holds `expected` on average, four standard deviations
// more next to never; good items that come in bursts (rows in the order of clusters) widen those.
void Candidates::guess(double share, std::vector<float>& scratch) {
    const double expected = static_cast<double>(k_) * share;
    double burst = 1;
    scratch.resize(count_);
    for (std::uint32_t i = 0; i < count_; ++i) scratch[i] = intervals_[i].middle();
    for (int pass = 0; pass < 2; ++pass) {
        const double rank = expected + 4 * std::sqrt(expected * burst) + 8 * burst;
        if (rank >= static_cast<double>(std::min<std::size_t>(k_, count_))) return;
        const float floor =
            table_.kth_largest_bound(scratch.data(), count_, static_cast<std::size_t>(rank));
        if (pass == 0) burst = mean_burst(scratch, floor);
        else raise_threshold(floor);
    }
    drop_below_threshold();
}

// The size of the burst that the average good candidate is part of: those of one block, which lie
// side by side.
double Candidates::mean_burst(const std::vector<float>& middles, float floor) const {
    std::vector<std::uint32_t> good(middles.size() + kernels::kReachingRoom);
    const std::size_t n_good =
        table_.indices_at_least(middles.data(), middles.size(), floor, good.data());
    double squares = 0;
    double run = 0;
    std::uint32_t block = 0;
    for (std::size_t i = 0; i < n_good; ++i) {
        const std::uint32_t its_block = hits_[good[i]].row / kBlockItems;
        if (its_block != block) run = 0;
        block = its_block;
        squares += 2 * run + 1;  // (run + 1)^2 - run^2
        ++run;
    }
    return n_good > 0 ? squares / static_cast<double>(n_good) : 1;
}

// The share of the items holds this share of the k best, and of what lies as near to them; with a
// few at least to count by.
double Candidates::n_ambiguous(double share, std::vector<float>& scratch) const {
    constexpr double kFew = 32;
    const auto k = static_cast<double>(k_);
    const auto rank = static_cast<std::size_t>(std::min(k, std::max(kFew, k * share)));
    if (count_ <= rank) return 0;
    scratch.resize(count_);
    for (std::uint32_t i = 0; i < count_; ++i) scratch[i] = intervals_[i].middle();
    const float floor = table_.kth_largest_bound(scratch.data(), count_, rank);
    std::size_t open = 0;
    for (std::uint32_t i = 0; i < count_; ++i) open += intervals_[i].highest >= floor ? 1U : 0U;
    return static_cast<double>(open - rank) * k / static_cast<double>(rank);
}

void Candidates::rerank(const ExactScores& rerank, const Items& items) {
    std::vector<std::uint32_t> rows(count_);
    for (std::uint32_t i = 0; i < count_; ++i) rows[i] = hits_[i].row;
    reranked_ += score_best(table_, rows.data(), intervals_, count_, k_, rerank);

    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < count_; ++i) {
        if (intervals_[i].exact()) order.push_back(i);
    }
    const auto better = [&](std::uint32_t a, std::uint32_t b) {
        return Scored{intervals_[a].lowest, items.id(rows[a])}.before(
            {intervals_[b].lowest, items.id(rows[b])});
    };
    if (order.size() > k_) {
        canceling::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                               order.end(), better);
        raise_threshold(intervals_[order[k_ - 1]].lowest);
        order.resize(k_);
        std::sort(order.begin(), order.end());  // so that moving down never overwrites
    }
    for (std::uint32_t i = 0; i < order.size(); ++i) {
        hits_[i] = hits_[order[i]];
        intervals_[i] = intervals_[order[i]];
    }
    count_ = static_cast<std::uint32_t>(order.size());
}

}  // namespace vecrecall::search
