#include "vecrecall/merge.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "hashing.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// An id of a row under way, with what has been gathered of it.
struct Entry {
    std::int64_t id;
    double sum;         // kSum: of all rows
    float best;         // the largest score
    std::int64_t row;   // where that was
    std::int64_t last;  // the latest row that held it
    std::int32_t hits;
};

// Finds or makes the entry of an id; reused from row to row.
class EntryTable {
  public:
    void reset(std::size_t most) {
        entries_.clear();
        entries_.reserve(most);
        const HashShape shape(most);
        slots_.assign(shape.slots, 0);
        shift_ = shape.shift;
    }

    // The entry, and whether it is new (then only its id is set).
    std::pair<Entry*, bool> find(std::int64_t id) {
        std::size_t s = hash_id(id) >> shift_;
        for (; slots_[s] != 0; s = (s + 1) & (slots_.size() - 1)) {
            if (entries_[slots_[s] - 1].id == id) return {&entries_[slots_[s] - 1], false};
        }
        entries_.push_back(Entry{.id = id});
        slots_[s] = static_cast<std::uint32_t>(entries_.size());
        return {&entries_.back(), true};
    }

    std::vector<Entry>& entries() { return entries_; }

  private:
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> slots_;  // entry + 1
    int shift_ = 0;
};

// Score descending, id ascending; only as many as are wanted.
void rank(std::vector<Entry>& entries, std::size_t k) {
    std::partial_sort(entries.begin(),
                      entries.begin() + static_cast<std::ptrdiff_t>(std::min(k, entries.size())),
                      entries.end(), [](const Entry& a, const Entry& b) {
                          return a.best != b.best ? a.best > b.best : a.id < b.id;
                      });
}

void write(const std::vector<Entry>& entries, std::size_t row, const ListsOut& out) {
    const std::size_t n = std::min(out.width, entries.size());
    std::int64_t* ids = out.ids + row * out.width;
    float* scores = out.scores + row * out.width;
    for (std::size_t i = 0; i < n; ++i) {
        ids[i] = entries[i].id;
        scores[i] = entries[i].best;
    }
    std::fill(ids + n, ids + out.width, std::int64_t{-1});
    std::fill(scores + n, scores + out.width, -std::numeric_limits<float>::infinity());
    out.counts[row] = static_cast<std::int32_t>(n);
}

template <class Each>
void for_each_entry(const ListsView& lists, std::size_t row, Each each) {
    for (std::int32_t i = 0; i < lists.counts[row]; ++i) {
        const std::size_t at = row * lists.width + static_cast<std::size_t>(i);
        if (lists.ids[at] >= 0) each(lists.ids[at], lists.scores[at]);
    }
}

void gather_shards(const std::vector<ListsView>& shards, std::size_t row, EntryTable& table) {
    std::size_t most = 0;
    for (const ListsView& shard : shards) most += static_cast<std::size_t>(shard.counts[row]);
    table.reset(most);
    for (std::size_t s = 0; s < shards.size(); ++s) {
        for_each_entry(shards[s], row, [&](std::int64_t id, float score) {
            const auto [entry, fresh] = table.find(id);
            if (!fresh) {
                throw std::invalid_argument("results: expected disjoint shards, got id " +
                                            std::to_string(id) + " twice in row " +
                                            std::to_string(row));
            }
            entry->best = score;
        });
    }
}

void add(Entry& entry, bool fresh, float score, std::int64_t row) {
    if (fresh) {
        entry = {.id = entry.id, .sum = score, .best = score, .row = row, .last = row, .hits = 1};
        return;
    }
    if (entry.last == row) return;
    entry.sum += score;
    entry.last = row;
    ++entry.hits;
    if (score > entry.best) {
        entry.best = score;
        entry.row = row;
    }
}

// Infinities of both signs have no sum; such an item goes last.
float rounded_sum(double sum) {
    return std::isnan(sum) ? -std::numeric_limits<float>::infinity()
                           : static_cast<float>(sum) + 0.0F;
}

}  // namespace

void merge_shards(const std::vector<ListsView>& shards, const ListsOut& out, int threads) {
    constexpr std::size_t kPerTask = 16;
    parallel_for((out.rows + kPerTask - 1) / kPerTask, threads, [&](std::size_t task) {
        EntryTable table;
        for (std::size_t r = task * kPerTask; r < std::min(out.rows, (task + 1) * kPerTask); ++r) {
            gather_shards(shards, r, table);
            rank(table.entries(), out.width);
            write(table.entries(), r, out);
        }
    });
}

void merge_groups(const ListsView& lists, const std::int64_t* offsets, Join how,
                  const GroupsOut& out, int threads) {
    const std::size_t k = out.lists.width;
    parallel_for(out.lists.rows, threads, [&](std::size_t group) {
        std::size_t most = 0;
        for (std::int64_t r = offsets[group]; r < offsets[group + 1]; ++r) {
            most += static_cast<std::size_t>(lists.counts[r]);
        }
        EntryTable table;
        table.reset(most);
        for (std::int64_t r = offsets[group]; r < offsets[group + 1]; ++r) {
            for_each_entry(lists, static_cast<std::size_t>(r), [&](std::int64_t id, float score) {
                const auto [entry, fresh] = table.find(id);
                add(*entry, fresh, score, r);
            });
        }
        std::vector<Entry>& entries = table.entries();
        if (how == Join::kSum) {
            for (Entry& entry : entries) entry.best = rounded_sum(entry.sum);
        }
        rank(entries, k);
        write(entries, group, out.lists);
        const std::size_t n = std::min(k, entries.size());
        for (std::size_t i = 0; i < k; ++i) {
            out.hits[group * k + i] = i < n ? entries[i].hits : 0;
            out.winner[group * k + i] = i < n ? entries[i].row : -1;
        }
    });
}

}  // namespace vecrecall
