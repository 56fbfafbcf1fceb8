// How far the best items of a list reach beyond its center.
#pragma once

#include <cstdint>
#include <vector>

#include "search/rows.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

// Per list the length by which its best items score above its center for a query of length one, as
// far as one number per list can tell: that of long and of many residuals, times the share of a
// residual that lies along a query, about that of two and a half standard deviations. Rows stand
// for queries. The same bits on every instruction set and thread count. Under l2 there are none:
// lists by their centers' distance are as good.
//
// `labels` are per row its list, or -1.
std::vector<float> list_spreads(const Rows& rows, Metric metric, const MatrixView& centers,
                                const std::int32_t* labels, int threads);

}  // namespace vecrecall::search
