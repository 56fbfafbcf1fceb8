// Search in an index of lists: each query looks at those that it probes, and at all items that are
// in none.
#pragma once

#include "search/search_context.hpp"

namespace vecrecall::search {

// Neither all lists nor a proof: options.probes lists of every query, or the default number.
SearchStats search_lists(const SearchContext& context, int threads, const ListsOut& out);

// The answers of an index of all items, list after list until no other can hold better ones.
// Returns the queries that would look at most of the lists, without their answers: the scan of all
// items is as fast for them.
std::vector<std::size_t> search_until_proved(const SearchContext& context, int threads,
                                             const ListsOut& out, SearchStats& stats);

}  // namespace vecrecall::search
