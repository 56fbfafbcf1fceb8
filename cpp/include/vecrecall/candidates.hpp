// Candidates that another engine has found, as lists of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vecrecall/views.hpp"

namespace vecrecall {

// A set of ids: those given, or all others.
struct IdFilter {
    const std::int64_t* ids = nullptr;  // ascending
    std::size_t size = 0;
    bool complement = false;

    bool admits(std::int64_t id) const;
};

// What a row's list may not hold.
struct CandidateFilters {
    RaggedView<std::int64_t> exclude;  // ids a row; values null: none
    std::vector<IdFilter> allow;       // none, one for all rows, or one a row
};

// The best of each row's `width` candidates, in any order and perhaps repeated; ids below 0 are
// places without one. Score descending, then id ascending, each id once, with its largest score; a
// score that is not a number is the lowest.
void rank_candidates(const std::int64_t* ids, const float* scores, std::size_t width,
                     const CandidateFilters& filters, const ListsOut& out, int threads = 0);

}  // namespace vecrecall
