// In which order a segment keeps its rows.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "search/rows.hpp"

namespace vecrecall::search {

// Where lengths (distances from the center) differ much, the rows by length: blocks of like length
// have tight bounds. The likelier half comes first (long rows for inner products, short ones for
// distances) and raises the thresholds, so that whole blocks of the other can be passed over. Empty
// where the order given is as good.
std::vector<std::uint32_t> order_by_length(const kernels::KernelTable& table, const Rows& rows,
                                           const double* center, bool longest_first, int threads);

}  // namespace vecrecall::search
