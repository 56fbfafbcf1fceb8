// Search in an index of lists: each query looks at those that it probes, and at all items that are
// in none.
#pragma once

#include "search/search_context.hpp"

namespace vecrecall::search {

// Neither all lists nor a proof: options.probes lists of every query, or the default number.
SearchStats search_lists(const SearchContext& context, int threads, const ListsOut& out);

}  // namespace vecrecall::search
