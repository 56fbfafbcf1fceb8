// How many lists to probe for a wanted recall.
#pragma once

#include "search/items.hpp"

namespace vecrecall::search {

// The fewest lists that hold this share of the k best items of the queries, or all lists. `exclude`
// as of a search, values null for none.
std::size_t probes_reaching(const Items& items, const MatrixView& queries,
                            const RaggedView<std::int64_t>& exclude, double recall, std::size_t k,
                            int threads);

// The default of an index that was not tuned: for a sample of its items, each without itself.
std::size_t first_probes(const Items& items, int threads);

}  // namespace vecrecall::search
