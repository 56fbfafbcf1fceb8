// The lists to probe for a query: the most promising.
#pragma once

#include <cstdint>
#include <vector>

#include "search/items.hpp"
#include "search/query.hpp"

namespace vecrecall::search {

// The p best lists of each query of a run of a batch, best first: by the score of the center, under
// ip for the query at length one in float32, plus the list's spread, in float64, before any
// rounding to float32, then by number. The same on every instruction set. Of fewer lists, all.
//
// Centers are scanned in int8 as items are; only those that may be among the p best are scored.
std::vector<std::vector<std::uint32_t>> choose_lists(const kernels::KernelTable& table,
                                                     const Lists& lists, const QueryBatch& queries,
                                                     std::size_t first, std::size_t n,
                                                     std::size_t p);

// For each query of a run of a batch and each list, a float32 number that this sum, rounded to
// float32, does not exceed: n x lists.size() of them.
void bound_centers(const kernels::KernelTable& table, const Lists& lists, const QueryBatch& queries,
                   std::size_t first, std::size_t n, float* highest);

}  // namespace vecrecall::search
