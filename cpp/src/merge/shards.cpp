#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "merge/entry_table.hpp"
#include "merge/output.hpp"
#include "merge/parallel_rows.hpp"
#include "merge/ranking.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall {
namespace {

struct Workspace {
    merging::EntryTable table;
    merging::Ranking ranking;
    std::vector<float> scores;
    float least;  // at least as many entries as are wanted reach it
};

[[noreturn]] void throw_repeat(std::int64_t id, std::size_t row) {
    throw std::invalid_argument("results: expected disjoint shards, got id " + std::to_string(id) +
                                " twice in row " + std::to_string(row));
}

// The k best reach the least of any k entries. The first of each list make it a high one, since
// lists are mostly in order: then few entries are left to be ranked.
merging::Entries gather(const std::vector<ListsView>& shards, std::size_t row, std::size_t k,
                        Workspace& work) {
    const std::size_t share = (k + shards.size() - 1) / shards.size();
    std::size_t seen = 0;
    work.least = std::numeric_limits<float>::infinity();
    std::size_t most = 0;
    for (const ListsView& shard : shards) most += static_cast<std::size_t>(shard.counts[row]);
    if (work.scores.size() < most) work.scores.resize(most);
    merging::Entries entries = work.table.start(most);
    for (const ListsView& shard : shards) {
        const std::size_t begin = row * shard.width;
        const std::size_t end = begin + static_cast<std::size_t>(shard.counts[row]);
        const std::uint32_t before = entries.size();
        for (std::size_t at = begin; at < end; ++at) {
            if (shard.ids[at] < 0) continue;
            const auto [entry, fresh] = entries.insert(shard.ids[at]);
            if (!fresh) throw_repeat(shard.ids[at], row);
            work.scores[entry] = shard.scores[at] + 0.0F;
        }
        const std::size_t few = std::min<std::size_t>(share, entries.size() - before);
        for (std::size_t e = before; e < before + few; ++e) {
            work.least = std::min(work.least, work.scores[e]);
        }
        seen += few;
    }
    if (seen < k) work.least = -std::numeric_limits<float>::infinity();
    return entries;
}

}  // namespace

void merge_shards(const std::vector<ListsView>& shards, const ListsOut& out, int threads) {
    const auto merge_row = [&](Workspace& work, std::size_t row) {
        const merging::Entries entries = gather(shards, row, out.width, work);
        const auto reaches = [&](std::size_t e) { return work.scores[e] >= work.least; };
        const auto order = work.ranking.best(work.scores.data(), entries.size(), out.width,
                                             entries.ids(), reaches);
        merging::write_list(
            order, entries.ids(), [&](std::size_t i) { return work.scores[order[i]]; }, row, out);
    };
    merging::parallel_rows(out.rows, threads, [] { return Workspace(); }, merge_row);
}

}  // namespace vecrecall
