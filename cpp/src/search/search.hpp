// The certified search: a scan that proves which items cannot be in the answer, and exact scores
// for those that are left.
#pragma once

#include "search/items.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

SearchStats search(const Items& items, const MatrixView& queries, const SearchOptions& options,
                   const ListsOut& out);

}  // namespace vecrecall::search
