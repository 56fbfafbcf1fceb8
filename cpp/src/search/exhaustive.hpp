// The search without a scan: exact scores of everything that is asked for.
#pragma once

#include "search/search_context.hpp"

namespace vecrecall::search {

// Where a scan would leave out too little to be worth it (k is a good part of the items), or would
// read far more than the few items that a mask allows.
bool exhaustive_is_cheaper(const SearchContext& context);

// For one query; returns how many rows it scored.
std::size_t exhaustive(const SearchContext& context, std::size_t q, const ListsOut& out);

SearchStats exhaustive(const SearchContext& context, int threads, const ListsOut& out);

}  // namespace vecrecall::search
