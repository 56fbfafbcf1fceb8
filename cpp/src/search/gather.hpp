// The search without a scan: exact scores of everything that is asked for.
#pragma once

#include "search/job.hpp"

namespace vecrecall::scan {

// Where a scan would leave out too little to be worth it (k is a good part of the items), or would
// read far more than the few items that a mask allows.
bool worth_gathering(const Job& job);

SearchStats gather(const Job& job, int threads, const ListsOut& out);

}  // namespace vecrecall::scan
