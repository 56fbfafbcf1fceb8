#include "scan/candidates.hpp"

#include <algorithm>
#include <numeric>

#include "scan/selection.hpp"

namespace vecrecall::scan {

void Candidates::raise_to_kth_lower_bound(std::vector<float>& scratch) {
    scratch.resize(count_);
    for (std::uint32_t i = 0; i < count_; ++i) scratch[i] = intervals_[i].lowest;
    raise_threshold(reached_by(scratch.data(), count_, k_));
}

// Without a branch on the data, which no predictor could follow.
void Candidates::drop_below_threshold() {
    std::uint32_t kept = 0;
    std::uint32_t kept_exact = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
        const std::uint32_t keep = intervals_[i].highest >= threshold_ ? 1U : 0U;
        hits_[kept] = hits_[i];
        intervals_[kept] = intervals_[i];
        kept += keep;
        kept_exact += i < exact_ ? keep : 0U;
    }
    count_ = kept;
    exact_ = kept_exact;
}

void Candidates::make_exact(const Rescore& rescore, const IdMap& ids) {
    const std::uint32_t n = count_ - exact_;
    std::vector<std::uint32_t> rows(n);
    std::vector<float> scores(n);
    for (std::uint32_t i = 0; i < n; ++i) rows[i] = hits_[exact_ + i].row;
    rescore(rows.data(), n, scores.data());
    rescored_ += n;
    for (std::uint32_t i = 0; i < n; ++i) intervals_[exact_ + i] = {scores[i], scores[i]};

    std::vector<std::uint32_t> order(count_);
    std::iota(order.begin(), order.end(), 0U);
    const auto better = [&](std::uint32_t a, std::uint32_t b) {
        return Scored{intervals_[a].lowest, ids.id(hits_[a].row)}.before(
            {intervals_[b].lowest, ids.id(hits_[b].row)});
    };
    if (count_ > k_) {
        std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                         order.end(), better);
        raise_threshold(intervals_[order[k_ - 1]].lowest);
        order.resize(k_);
        std::sort(order.begin(), order.end());  // so that moving down never overwrites
    }
    for (std::uint32_t i = 0; i < order.size(); ++i) {
        hits_[i] = hits_[order[i]];
        intervals_[i] = intervals_[order[i]];
    }
    count_ = exact_ = static_cast<std::uint32_t>(order.size());
}

void Candidates::tighten(std::vector<float>& scratch) {
    raise_to_kth_lower_bound(scratch);
    drop_below_threshold();
    // Room to gather half as many again before the next look.
    soft_limit_ = std::min(hard_limit_, std::max<std::size_t>(soft_limit_, count_ + count_ / 2));
}

}  // namespace vecrecall::scan
