#include "search/intervals.hpp"

#include <algorithm>

#include "search/stepper.hpp"

namespace vecrecall::scan {

void intervals(const kernels::KernelTable& table, const ItemsView& view, Metric metric, bool codes,
               const MatrixView& rows, float* lowest, float* highest) {
    const Source source{.rows = {view.rows}, .ids = view.ids, .bias = view.bias};
    const BuildOptions build{.copy = false, .codes = codes, .threads = 1};
    const Items items(make_base(source, metric, build), codes);
    const QueryBatch queries(table, items, rows, {}, 1);
    const SearchOptions options{.k = 1, .threads = 1};
    const Job job{.table = table,
                  .items = items,
                  .queries = queries,
                  .options = options,
                  .allow = nullptr,
                  .codes = codes,
                  .first_threshold = -std::numeric_limits<float>::infinity()};
    const std::size_t m = queries.size();
    const std::unique_ptr<Stepper> stepper =
        codes ? step_i8(job, 0, m) : step_f32(job, 0, m, kBlockItems);
    std::vector<kernels::Hit> hits(m * kBlockItems);
    Step step(m);
    for (std::size_t b = 0; b < items.blocks(); ++b) {
        const std::size_t first = b * kBlockItems;
        stepper->enter_block(items.block(b));
        for (std::size_t q = 0; q < m; ++q) {
            step.thresholds[q] = job.first_threshold;  // everything is a hit
            step.live[q] = items.live().data() + first / kernels::kWordItems;
            step.hits[q] = {hits.data() + q * kBlockItems, 0};
        }
        stepper->scan(first, std::min(kBlockItems, items.size() - first), step);
        for (std::size_t q = 0; q < m; ++q) {
            const Certificate& certificate = stepper->certificate(q);
            const std::size_t to = queries[q].place * items.size();
            for (std::uint32_t i = 0; i < step.hits[q].count; ++i) {
                const kernels::Hit hit = step.hits[q].hits[i];
                const double value = certificate.value(hit.raw);
                lowest[to + hit.row] = certificate.lowest(value);
                highest[to + hit.row] = certificate.highest(value);
            }
        }
    }
}

}  // namespace vecrecall::scan
