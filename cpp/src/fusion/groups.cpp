#include <vector>

#include "fusion/entry_table.hpp"
#include "fusion/output.hpp"
#include "fusion/parallel_rows.hpp"
#include "fusion/ranking.hpp"
#include "fusion/rounding.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall {
namespace {

// The entries of an item so far.
struct Item {
    double sum;           // kSum: of all rows
    float best;           // the largest score
    std::int32_t n_rows;  // rows that held it
    std::int64_t row;     // the row of the largest score
    std::int64_t last;    // the latest row that held it
};

struct Workspace {
    fusion::EntryTable table;
    fusion::Ranking ranking;
    std::vector<Item> items;
    std::vector<float> scores;
};

void add(Item& item, bool fresh, float score, std::int64_t row) {
    if (fresh) {
        item = {.sum = score, .best = score, .n_rows = 1, .row = row, .last = row};
        return;
    }
    if (item.last == row) return;
    item.sum += score;
    item.last = row;
    ++item.n_rows;
    if (score > item.best) {
        item.best = score;
        item.row = row;
    }
}

fusion::Entries load(const ListsView& lists, std::int64_t first, std::int64_t end,
                     Workspace& work) {
    std::size_t most = 0;
    for (std::int64_t r = first; r < end; ++r) most += static_cast<std::size_t>(lists.counts[r]);
    if (work.items.size() < most) {
        work.items.resize(most);
        work.scores.resize(most);
    }
    fusion::Entries entries = work.table.start(most);
    std::size_t steps = 0;
    for (std::int64_t r = first; r < end; ++r) {
        const std::size_t begin = static_cast<std::size_t>(r) * lists.width;
        for (std::size_t at = begin; at < begin + static_cast<std::size_t>(lists.counts[r]); ++at) {
            canceling::check_each(++steps);
            if (lists.ids[at] < 0) continue;
            const auto [entry, fresh] = entries.insert(lists.ids[at]);
            add(work.items[entry], fresh, lists.scores[at], r);
        }
    }
    return entries;
}

}  // namespace

void merge_groups(const ListsView& lists, const std::int64_t* offsets, Join how,
                  const GroupsOut& out, int threads) {
    const std::size_t k = out.lists.width;
    const auto merge_group = [&](Workspace& work, std::size_t group) {
        const fusion::Entries entries = load(lists, offsets[group], offsets[group + 1], work);
        for (std::size_t e = 0; e < entries.size(); ++e) {
            const Item& item = work.items[e];
            work.scores[e] = fusion::rounded(how == Join::kSum ? item.sum : double{item.best});
        }
        const auto order = work.ranking.best(work.scores.data(), entries.size(), k, entries.ids());
        const auto score = [&](std::size_t i) { return work.scores[order[i]]; };
        fusion::write_list(order, entries.ids(), score, group, out.lists);
        for (std::size_t i = 0; i < k; ++i) {
            const bool real = i < order.size();
            out.n_rows[group * k + i] = real ? work.items[order[i]].n_rows : 0;
            out.best_row[group * k + i] = real ? work.items[order[i]].row : -1;
        }
    };
    fusion::parallel_rows(out.lists.rows, threads, [] { return Workspace(); }, merge_group);
}

}  // namespace vecrecall
