// Joining ranked lists.
#pragma once

#include <cstdint>
#include <vector>

#include "vecrecall/views.hpp"

namespace vecrecall {

// Lists of disjoint shards into one, row by row: what one index over all items would answer.
// Throws std::invalid_argument when an id stands in two lists of a row.
void merge_shards(const std::vector<ListsView>& shards, const ListsOut& out, int threads = 0);

enum class Join { kMax, kSum };

struct GroupsOut {
    ListsOut lists;
    std::int32_t* hits;    // how many of the group's rows hold the item; 0 on padding
    std::int64_t* winner;  // the row with the item's largest score; -1 on padding
};

// Rows offsets[g] .. offsets[g + 1] - 1 become list g, each id once. A sum is accumulated in
// float64 in row order and rounded once; a repeat within a row does not count again.
void merge_groups(const ListsView& lists, const std::int64_t* offsets, Join how,
                  const GroupsOut& out, int threads = 0);

}  // namespace vecrecall
