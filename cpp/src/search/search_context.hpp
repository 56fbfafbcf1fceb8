// The inputs that all parts of a search share.
#pragma once

#include "search/items.hpp"
#include "search/query.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

struct SearchContext {
    const kernels::KernelTable& table;
    const Items& items;
    const QueryBatch& queries;
    const SearchOptions& options;
    const std::uint64_t* const* allow;  // per query of the batch a bit per row; or null
    bool codes;                         // scan by them
    float first_threshold;              // the smallest float32 score that min_score lets pass

    // A bit per row: what query q may get, but for the rows that it excludes.
    const std::uint64_t* live(std::size_t q) const {
        return allow ? allow[queries[q].place] : items.live().data();
    }
    // Exact scores of rows for query q.
    void score(std::size_t q, const std::uint32_t* rows, std::size_t n, float* scores) const {
        const Query& query = queries[q];
        items.score(table, query.wide, query.length, rows, n, scores);
    }
};

}  // namespace vecrecall::search
