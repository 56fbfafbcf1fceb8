// All items that reach a score, by the same certified scan as a search.
#pragma once

#include "search/items.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

RaggedLists search_above(const Items& items, const MatrixView& queries,
                         const AboveOptions& options);

}  // namespace vecrecall::search
