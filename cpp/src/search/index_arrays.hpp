// The items of an index as arrays, and back.
#pragma once

#include <memory>

#include "search/items.hpp"
#include "vecrecall/index_arrays.hpp"

namespace vecrecall::search {

// Of items that are all of one segment; views as long as they live.
IndexArrays to_arrays(const Items& items);

// Throws std::invalid_argument, naming the part, where sizes do not fit together or a number would
// lead out of an array. Other damage makes wrong answers, but no wrong reads.
Items from_arrays(const IndexArrays& parts, std::shared_ptr<const void> owner);

}  // namespace vecrecall::search
