// Candidates that another engine has found, as lists of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vecrecall/views.hpp"

namespace vecrecall {

// Rows of `width` candidates in any order, each id once; ids below 0 are places without one.
struct CandidatesView {
    const std::int64_t* ids = nullptr;
    const float* scores = nullptr;
    std::size_t width = 0;
};

// A set of ids: those given, or all others.
struct IdFilter {
    const std::int64_t* ids = nullptr;  // ascending
    std::size_t size = 0;
    bool complement = false;

    bool admits(std::int64_t id) const;
};

// The ids that a row's list may not hold.
struct CandidateFilters {
    RaggedView<std::int64_t> exclude;  // ids per row; values null: none
    std::vector<IdFilter> allow;       // none, one for all rows, or one per row
};

// The best of each row's candidates: score descending, then id ascending. A score that is not a
// number is the lowest.
void rank_candidates(const CandidatesView& candidates, const CandidateFilters& filters,
                     const ListsOut& out, int threads = 0);

}  // namespace vecrecall
