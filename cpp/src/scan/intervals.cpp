#include "scan/intervals.hpp"

#include <algorithm>

#include "scan/stepper.hpp"

namespace vecrecall::scan {

void intervals(const kernels::KernelTable& table, const ItemsView& view, Metric metric, bool codes,
               const float* query, float* lowest, float* highest) {
    const Items items(view, metric, {.copy = false, .codes = codes, .threads = 1});
    const QueryBatch queries(table, items, {query, 1, items.dim()}, {}, 1);
    if (queries.size() == 0) return;
    const SearchOptions options{.k = 1, .threads = 1};
    const Job job{.table = table,
                  .items = items,
                  .queries = queries,
                  .options = options,
                  .first_threshold = -std::numeric_limits<float>::infinity()};
    const std::unique_ptr<Stepper> stepper =
        codes ? step_i8(job, 0, 1) : step_f32(job, 0, 1, kBlockItems);
    std::vector<kernels::Hit> hits(kBlockItems);
    Step step(1);
    for (std::size_t b = 0; b < items.blocks(); ++b) {
        const std::size_t first = b * kBlockItems;
        stepper->enter_block(b);
        step.thresholds[0] = job.first_threshold;  // everything is a hit
        step.live[0] = items.live() + first / kernels::kWordItems;
        step.hits[0] = {hits.data(), 0};
        stepper->scan(first, std::min(kBlockItems, items.size() - first), step);
        const Certificate& certificate = stepper->certificate(0);
        for (std::uint32_t i = 0; i < step.hits[0].count; ++i) {
            const double value = certificate.value(hits[i].raw);
            lowest[hits[i].row] = certificate.lowest(value);
            highest[hits[i].row] = certificate.highest(value);
        }
    }
}

}  // namespace vecrecall::scan
