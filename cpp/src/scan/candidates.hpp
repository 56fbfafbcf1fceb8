// One query's candidates: a bounded buffer, and the threshold that it has earned.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/table.hpp"
#include "scan/bound.hpp"

namespace vecrecall::scan {

// What the float32 score of a candidate lies between; equal once it is known exactly.
struct Interval {
    float lowest;
    float highest;
};

// A final score with the id that breaks ties.
struct Scored {
    float score;
    std::int64_t id;

    bool before(const Scored& other) const {
        return score != other.score ? score > other.score : id < other.id;
    }
};

// Buffers for `room` hits; entries [0, exact) hold exact scores, [exact, count) intervals, and
// behind them lie the hits of a step that were not yet taken in.
class Candidates {
  public:
    // Exact float32 scores of n rows.
    using Rescore = std::function<void(const std::uint32_t* rows, std::size_t n, float* scores)>;

    Candidates(kernels::Hit* hits, Interval* intervals, std::size_t k, std::size_t soft_limit,
               std::size_t hard_limit, float threshold)
        : hits_(hits),
          intervals_(intervals),
          k_(k),
          soft_limit_(soft_limit),
          hard_limit_(hard_limit),
          threshold_(threshold) {}

    float threshold() const { return threshold_; }
    void raise_threshold(float t) { threshold_ = t > threshold_ ? t : threshold_; }

    kernels::HitList list() const { return {hits_, count_}; }

    // Takes in the hits that a step appended, up to `count` in all, keeping those that `keep` wants
    // and that may reach the threshold.
    template <class Keep>
    void take_in(std::uint32_t count, const Certificate& certificate, Keep keep) {
        std::uint32_t kept = count_;
        for (std::uint32_t i = count_; i < count; ++i) {
            const kernels::Hit hit = hits_[i];
            const double value = certificate.value(hit.raw);
            const float highest = certificate.highest(value);
            if (highest < threshold_ || !keep(hit.row)) continue;
            hits_[kept] = hit;
            intervals_[kept] = {certificate.lowest(value), highest};
            ++kept;
        }
        count_ = kept;
    }

    // Drops all candidates and keeps the threshold: the items that earned it will be found again.
    void forget() { count_ = exact_ = 0; }

    bool crowded() const { return count_ >= soft_limit_; }

    // Raises the threshold to the k-th largest lower bound, and drops what cannot reach it.
    void tighten(std::vector<float>& scratch);
    // Tightening freed too little: bounds cannot tell the rest apart (ties, or data finer than
    // them).
    bool overfull() const { return count_ > hard_limit_ / 4 * 3; }
    // Scores all candidates exactly and keeps the k best.
    void make_exact(const Rescore& rescore, const IdMap& ids);

    std::uint32_t size() const { return count_; }
    std::uint32_t exact() const { return exact_; }
    std::uint32_t row(std::size_t i) const { return hits_[i].row; }
    Interval interval(std::size_t i) const { return intervals_[i]; }
    std::uint64_t rescored() const { return rescored_; }

  private:
    void raise_to_kth_lower_bound(std::vector<float>& scratch);
    void drop_below_threshold();

    kernels::Hit* hits_;
    Interval* intervals_;
    std::size_t k_;
    std::size_t soft_limit_;
    std::size_t hard_limit_;
    float threshold_;
    std::uint32_t count_ = 0;
    std::uint32_t exact_ = 0;
    std::uint64_t rescored_ = 0;
};

}  // namespace vecrecall::scan
