#include <stdexcept>
#include <string>
#include <vector>

#include "fusion/entry_table.hpp"
#include "fusion/output.hpp"
#include "fusion/parallel_rows.hpp"
#include "fusion/ranking.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall {
namespace {

struct Workspace {
    fusion::EntryTable table;
    fusion::Ranking ranking;
    std::vector<float> scores;
};

[[noreturn]] void throw_repeat(std::int64_t id, std::size_t row) {
    throw std::invalid_argument("results: expected disjoint shards, got id " + std::to_string(id) +
                                " twice in row " + std::to_string(row));
}

fusion::Entries load(const std::vector<ListsView>& shards, std::size_t row, Workspace& work) {
    std::size_t most = 0;
    for (const ListsView& shard : shards) most += static_cast<std::size_t>(shard.counts[row]);
    if (work.scores.size() < most) work.scores.resize(most);
    fusion::Entries entries = work.table.start(most);
    for (const ListsView& shard : shards) {
        const std::size_t begin = row * shard.width;
        const std::size_t end = begin + static_cast<std::size_t>(shard.counts[row]);
        for (std::size_t at = begin; at < end; ++at) {
            canceling::check_each(at - begin);
            if (shard.ids[at] < 0) continue;
            const auto [entry, fresh] = entries.insert(shard.ids[at]);
            if (!fresh) throw_repeat(shard.ids[at], row);
            work.scores[entry] = shard.scores[at] + 0.0F;
        }
    }
    return entries;
}

}  // namespace

void merge_shards(const std::vector<ListsView>& shards, const ListsOut& out, int threads) {
    const auto merge_row = [&](Workspace& work, std::size_t row) {
        const fusion::Entries entries = load(shards, row, work);
        const auto order =
            work.ranking.best(work.scores.data(), entries.size(), out.width, entries.ids());
        fusion::write_list(
            order, entries.ids(), [&](std::size_t i) { return work.scores[order[i]]; }, row, out);
    };
    fusion::parallel_rows(out.rows, threads, [] { return Workspace(); }, merge_row);
}

}  // namespace vecrecall
