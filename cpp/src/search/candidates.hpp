// One query's candidates: a bounded buffer, and the threshold that they have proved or promise.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "search/bound.hpp"
#include "search/rerank.hpp"

namespace vecrecall::search {

// Buffers for `room` hits; behind the candidates lie the hits of a step that were not yet taken in.
class Candidates {
  public:
    Candidates(const kernels::KernelTable& table, kernels::Hit* hits, Interval* intervals,
               std::size_t k, std::size_t soft_limit, std::size_t hard_limit, float threshold)
        : table_(table),
          hits_(hits),
          intervals_(intervals),
          k_(k),
          soft_limit_(soft_limit),
          hard_limit_(hard_limit),
          threshold_(threshold) {}

    float threshold() const { return threshold_; }
    void raise_threshold(float t) { threshold_ = t > threshold_ ? t : threshold_; }

    kernels::HitList list() const { return {hits_, count_}; }

    // Takes in the hits that a step appended, up to `count` in all, that may reach the threshold.
    void append(std::uint32_t count, const ScoreBound& bound);

    // Drops all candidates: their items will be scanned again.
    void restart(float threshold) {
        count_ = 0;
        threshold_ = threshold;
    }

    bool crowded() const { return count_ >= soft_limit_; }

    // Raises the threshold to the k-th largest lower bound, which is proof, and drops what cannot
    // reach it.
    void tighten(std::vector<float>& scratch);
    // Raises it to where the k-th score will probably be, after this share of all items.
    void guess(double share, std::vector<float>& scratch);
    // Tightening freed too little: bounds cannot tell the rest apart (ties, or data finer than
    // them).
    bool is_saturated() const { return count_ > hard_limit_ / 4 * 3; }
    // How many more than k will have to be scored exactly in the end, going by this share of the
    // items.
    double n_ambiguous(double share, std::vector<float>& scratch) const;
    // Scores exactly what may be among the k best, and keeps those.
    void rerank(const ExactScores& rerank, const Items& items);

    std::uint32_t size() const { return count_; }
    std::uint32_t row(std::size_t i) const { return hits_[i].row; }
    Interval interval(std::size_t i) const { return intervals_[i]; }
    std::uint64_t reranked() const { return reranked_; }

  private:
    void drop_below_threshold();
    double mean_burst(const std::vector<float>& middles, float floor) const;

    const kernels::KernelTable& table_;
    kernels::Hit* hits_;
    Interval* intervals_;
    std::size_t k_;
    std::size_t soft_limit_;
    std::size_t hard_limit_;
    float threshold_;
    std::uint32_t count_ = 0;
    std::uint64_t reranked_ = 0;
};

}  // namespace vecrecall::search
