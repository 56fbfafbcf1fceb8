#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "feed/cluster.hpp"
#include "feed/decay.hpp"
#include "feed/decayed_lists.hpp"
#include "fusion/entry_table.hpp"
#include "fusion/parallel_rows.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/feed.hpp"

namespace vecrecall {
namespace {

// The contribution of one user: the later of two clicks, and the item of the other.
struct RelatedWorkspace {
    std::vector<feed::Click> pairs;
    fusion::EntryTable table;
    std::vector<double> sums;
    feed::DecayedLists<double> lists;
};

// Block by block of users: the lock is held for some of them at a time.
void collect_pairs(const feed::Cluster& cluster, std::int64_t item, std::uint32_t history,
                   std::vector<feed::Click>& pairs) {
    const auto found = [&](const feed::History& clicks, std::uint32_t place) {
        for (std::uint32_t i = 0; i < clicks.size(); ++i) {
            if (i == place) continue;
            const feed::Click& later = clicks[std::max(i, place)];
            pairs.push_back({clicks[i].item, later.time, later.weight});
        }
    };
    pairs.clear();
    for (std::uint32_t block = 0;; ++block) {
        check_cancelled();
        const std::lock_guard lock(cluster.lock());
        if (block * feed::UserHistories::kBlock >= cluster.members.size()) return;
        cluster.members.for_each_holder(block, item, history, found);
    }
}

// A click of the future counts as one of now. The sums as of the newest pair, which no half-life
// can make underflow; then as of now.
void score_pairs(RelatedWorkspace& w, double now, double half_life) {
    double newest = std::numeric_limits<double>::lowest();
    for (feed::Click& pair : w.pairs) {
        pair.time = std::min(pair.time, now);
        newest = std::max(newest, pair.time);
    }
    fusion::Entries entries = w.table.start(w.pairs.size());
    w.sums.assign(w.pairs.size(), 0);
    std::size_t steps = 0;
    for (const feed::Click& pair : w.pairs) {
        canceling::check_each(++steps);
        w.sums[entries.insert(pair.item).entry] +=
            feed::decayed(pair.weight, pair.time, newest, half_life);
    }
    w.lists.resize(entries.size());
    for (std::uint32_t e = 0; e < entries.size(); ++e) {
        w.lists.ids[e] = entries.ids()[e];
        w.lists.strengths[e] = w.sums[e];
        w.lists.scores[e] = feed::decayed(w.sums[e], newest, now, half_life);
    }
}

}  // namespace

void ClusterFeed::related(const std::int64_t* clusters, const std::int64_t* items, double now,
                          const ListsOut& out, int threads) const {
    check_clusters(clusters, out.rows);
    const auto row = [&](RelatedWorkspace& w, std::size_t r) {
        collect_pairs(clusters_[clusters[r]], items[r],
                      static_cast<std::uint32_t>(options_.history), w.pairs);
        score_pairs(w, now, options_.half_life);
        w.lists.write([](std::size_t) { return true; }, r, out);
    };
    fusion::parallel_rows(out.rows, threads, [] { return RelatedWorkspace(); }, row);
}

}  // namespace vecrecall
