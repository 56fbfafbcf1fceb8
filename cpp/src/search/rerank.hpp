// Exact scores for candidates: as few as decide which are the k best.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/table.hpp"

namespace vecrecall::search {

// The interval that holds the float32 score of a candidate.
struct Interval {
    float lowest;
    float highest;

    bool exact() const { return lowest == highest; }
    // -infinity where nothing is known.
    float middle() const {
        const float m = lowest / 2 + highest / 2;
        return m == m ? m : lowest;
    }
};

// A final score with the id that breaks ties.
struct Scored {
    float score;
    std::int64_t id;

    bool before(const Scored& other) const {
        return score != other.score ? score > other.score : id < other.id;
    }
};

// Exact float32 scores of n rows.
using ExactScores = std::function<void(const std::uint32_t* rows, std::size_t n, float* scores)>;

// Makes the intervals exact of all candidates that may be among the k best, and returns how many
// rows it scored. A candidate that keeps a wider interval is not among them.
std::size_t score_best(const kernels::KernelTable& table, const std::uint32_t* rows,
                       Interval* intervals, std::size_t n, std::size_t k,
                       const ExactScores& rerank);

// Drops all but the k best, in any order.
void keep_best(std::vector<Scored>& scored, std::size_t k);

// By score, then id.
void sort_best(std::vector<Scored>& scored);

}  // namespace vecrecall::search
