#include "search/intervals.hpp"

#include <algorithm>

#include "search/block_scanner.hpp"

namespace vecrecall::search {

void intervals(const kernels::KernelTable& table, const ItemsView& view, Metric metric, bool codes,
               const MatrixView& rows, float* lowest, float* highest) {
    const Source source{.rows = {view.rows}, .ids = view.ids, .bias = view.bias};
    const BuildOptions build{.copy = false, .codes = codes, .threads = 1};
    const Items items(make_base(source, metric, build), codes);
    const QueryBatch queries(table, items, rows, {}, 1);
    const SearchOptions options{.k = 1, .threads = 1};
    const SearchContext context{.table = table,
                                .items = items,
                                .queries = queries,
                                .options = options,
                                .allow = nullptr,
                                .codes = codes,
                                .first_threshold = -std::numeric_limits<float>::infinity()};
    const std::size_t m = queries.size();
    const std::unique_ptr<BlockScanner> block_scanner =
        codes ? make_int8_scanner(context, 0, m) : make_float32_scanner(context, 0, m, kBlockItems);
    std::vector<kernels::Hit> hits(m * kBlockItems);
    Step step(m);
    for (std::size_t b = 0; b < items.blocks(); ++b) {
        const std::size_t first = b * kBlockItems;
        block_scanner->enter_block(items.block(b));
        for (std::size_t q = 0; q < m; ++q) {
            step.thresholds[q] = context.first_threshold;  // everything is a hit
            step.live[q] = items.live().data() + first / kernels::kWordItems;
            step.hits[q] = {hits.data() + q * kBlockItems, 0};
        }
        block_scanner->scan(first, std::min(kBlockItems, items.size() - first), step);
        for (std::size_t q = 0; q < m; ++q) {
            const ScoreBound& bound = block_scanner->score_bound(q);
            const std::size_t to = queries[q].place * items.size();
            for (std::uint32_t i = 0; i < step.hits[q].count; ++i) {
                const kernels::Hit hit = step.hits[q].hits[i];
                const double value = bound.value(hit.raw);
                lowest[to + hit.row] = bound.lowest(value);
                highest[to + hit.row] = bound.highest(value);
            }
        }
    }
}

}  // namespace vecrecall::search
