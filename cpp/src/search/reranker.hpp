// From candidates to the list that is handed out.
#pragma once

#include <vector>

#include "search/candidates.hpp"
#include "search/search_context.hpp"

namespace vecrecall::search {

// Sorts by score and id, and writes the k best that reach min_score as query q's list.
void write_best(const SearchContext& context, std::size_t q, std::vector<Scored>& scored,
                const ListsOut& out);

// The survivors of every scanner that worked on query q, made exact.
class Reranker {
  public:
    Reranker(const SearchContext& context, std::size_t q) : context_(context), q_(q) {}

    // Candidates that may reach the threshold which all scanners went by.
    void add(const Candidates& candidates, float threshold);
    void write(const ListsOut& out);

    // The list is full and its last score proves the threshold, guessed or not: whatever was
    // dropped lies below it. Up to first_threshold only what min_score forbids was dropped.
    bool proves(float threshold, const ListsOut& out) const;

    std::uint64_t reranked() const { return reranked_; }

  private:
    const SearchContext& context_;
    std::size_t q_;
    std::vector<std::uint32_t> rows_;
    std::vector<Interval> intervals_;
    std::uint64_t reranked_ = 0;
};

}  // namespace vecrecall::search
