#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "cancelling.hpp"
#include "feed/cluster.hpp"
#include "feed/decay.hpp"
#include "feed/decayed_lists.hpp"
#include "hashing.hpp"
#include "merge/parallel_rows.hpp"
#include "vecrecall/feed.hpp"

namespace vecrecall {
namespace {

struct TopWorkspace {
    std::vector<feed::Count> counts;
    std::vector<double> decayed;
    feed::DecayedLists<std::int64_t> lists;
};

// Copied: the cluster's lock is held for no longer than that takes.
void copy_counts(const feed::Cluster& cluster, std::vector<feed::Count>& copy) {
    const std::lock_guard lock(cluster.lock());
    copy.assign(cluster.counts.all().begin(), cluster.counts.all().end());
}

void score(TopWorkspace& w, double now, double half_life) {
    const std::size_t n = w.counts.size();
    w.lists.resize(n);
    w.decayed.resize(n);
    for (std::size_t e = 0; e < n; ++e) {
        w.decayed[e] = feed::half_lives(now, w.counts[e].time, half_life);
    }
    for (std::size_t e = 0; e < n; ++e) w.decayed[e] = feed::exp2(w.decayed[e]);
    for (std::size_t e = 0; e < n; ++e) {
        const feed::Count& c = w.counts[e];
        const double total = c.total();
        w.lists.ids[e] = c.item;
        w.lists.scores[e] = total == 0 ? 0 : total * w.decayed[e];
        w.lists.strengths[e] = c.key;
    }
}

}  // namespace

void ClusterFeed::top(const std::int64_t* clusters, double now,
                      const RaggedView<std::int64_t>& exclude, const ListsOut& out,
                      int threads) const {
    check_clusters(clusters, out.rows);
    const auto row = [&](TopWorkspace& w, std::size_t r) {
        check_cancelled();
        copy_counts(clusters_[clusters[r]], w.counts);
        score(w, now, options_.half_life);
        const IdSet excluded =
            exclude.rows == 0 ? IdSet() : IdSet(exclude.begin(r), exclude.end(r));
        w.lists.write([&](std::size_t e) { return !excluded.contains(w.lists.ids[e]); }, r, out);
    };
    merging::parallel_rows(out.rows, threads, [] { return TopWorkspace(); }, row);
}

}  // namespace vecrecall
