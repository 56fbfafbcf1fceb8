#include "scan/intervals.hpp"

#include <algorithm>

#include "scan/wave.hpp"

namespace vecrecall::scan {

void intervals_f32(const kernels::KernelTable& table, const ItemsView& view, Metric metric,
                   const float* query, float* lowest, float* highest) {
    const Items items(view, metric, false, 1);
    const QueryBatch queries(table, items, {query, 1, items.dim()}, {}, 1);
    if (queries.size() == 0) return;
    // So large a k that nothing is ever dropped or rescored.
    const SearchOptions options{.k = items.size() + 1, .threads = 1};
    const Job job{.table = table,
                  .items = items,
                  .queries = queries,
                  .options = options,
                  .first_threshold = -std::numeric_limits<float>::infinity()};
    const Limits limits = limits_for(items, options.k);
    Group group(0, 1, job.first_threshold);
    Scanner scanner(job, group, limits);
    scanner.run();
    const Candidates& found = scanner.candidates(0);
    for (std::size_t i = 0; i < found.size(); ++i) {
        lowest[found.row(i)] = found.interval(i).lowest;
        highest[found.row(i)] = found.interval(i).highest;
    }
}

}  // namespace vecrecall::scan
