#include "vecrecall/candidates.hpp"

#include <algorithm>
#include <vector>

#include "hashing.hpp"
#include "merge/entry_table.hpp"
#include "merge/output.hpp"
#include "merge/parallel_rows.hpp"
#include "merge/ranking.hpp"
#include "merge/rounding.hpp"

namespace vecrecall {
namespace {

struct Workspace {
    merging::EntryTable table;
    merging::Ranking ranking;
    std::vector<float> scores;
};

IdSet excluded(const CandidateFilters& filters, std::size_t row) {
    if (filters.exclude.values == nullptr) return {};
    return {filters.exclude.begin(row), filters.exclude.end(row)};
}

}  // namespace

bool IdFilter::admits(std::int64_t id) const {
    return std::binary_search(ids, ids + size, id) != complement;
}

void rank_candidates(const std::int64_t* ids, const float* scores, std::size_t width,
                     const CandidateFilters& filters, const ListsOut& out, int threads) {
    const auto rank_row = [&](Workspace& work, std::size_t row) {
        const IdSet barred = excluded(filters, row);
        const IdFilter* allow =
            filters.allow.empty() ? nullptr : &filters.allow[filters.allow.size() == 1 ? 0 : row];
        if (work.scores.size() < width) work.scores.resize(width);
        merging::Entries entries = work.table.start(width);
        for (std::size_t at = row * width; at < (row + 1) * width; ++at) {
            const std::int64_t id = ids[at];
            if (id < 0 || barred.contains(id) || (allow && !allow->admits(id))) continue;
            const float score = merging::rounded(double{scores[at]});
            const auto [entry, fresh] = entries.insert(id);
            work.scores[entry] = fresh ? score : std::max(work.scores[entry], score);
        }
        const auto order =
            work.ranking.best(work.scores.data(), entries.size(), out.width, entries.ids());
        merging::write_list(
            order, entries.ids(), [&](std::size_t i) { return work.scores[order[i]]; }, row, out);
    };
    merging::parallel_rows(out.rows, threads, [] { return Workspace(); }, rank_row);
}

}  // namespace vecrecall
