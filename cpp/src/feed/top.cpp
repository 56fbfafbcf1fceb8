#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "core/hashing.hpp"
#include "feed/cluster.hpp"
#include "feed/decay.hpp"
#include "feed/decayed_lists.hpp"
#include "fusion/parallel_rows.hpp"
#include "platform/canceling.hpp"
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

// All sums side by side: a loop over them becomes vector code.
void decay(TopWorkspace& w, double now, double half_life) {
    w.decayed.resize(w.counts.size() * feed::Sums::kMost);
    double* next = w.decayed.data();
    for (const feed::Count& c : w.counts) {
        for (const feed::Sum& s : c.sums.all()) {
            *next++ = feed::half_lives(std::max(now, s.newest), s.time, half_life);
        }
    }
    w.decayed.resize(static_cast<std::size_t>(next - w.decayed.data()));
    for (double& x : w.decayed) x = feed::exp2(x);
}

void score(TopWorkspace& w, double now, double half_life) {
    const std::size_t n = w.counts.size();
    w.lists.resize(n);
    decay(w, now, half_life);
    const double* decayed = w.decayed.data();
    for (std::size_t e = 0; e < n; ++e) {
        const feed::Count& c = w.counts[e];
        double sum = 0;
        for (const feed::Sum& s : c.sums.all()) {
            const double total = s.total();
            const double factor = *decayed++;
            if (total > 0) sum += total * factor;
        }
        w.lists.ids[e] = c.item;
        w.lists.scores[e] = sum;
    }
}

// The newest click that counts: what vanishing scores are told apart by is as of then.
double newest_until(double now, const std::vector<feed::Count>& counts) {
    double newest = std::numeric_limits<double>::lowest();
    for (const feed::Count& c : counts) {
        if (!c.sums.all().empty()) newest = std::max(newest, c.sums.all().back().newest);
    }
    return std::min(newest, now);
}

void tell_apart(TopWorkspace& w, double now, double half_life) {
    const double base = newest_until(now, w.counts);
    for (std::size_t e = 0; e < w.counts.size(); ++e) {
        if (!feed::vanishes(w.lists.scores[e])) continue;
        w.lists.strengths[e] = feed::key_of_log2(w.counts[e].sums.log2_at(now, base, half_life));
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
        tell_apart(w, now, options_.half_life);
        const IdSet excluded =
            exclude.rows == 0 ? IdSet() : IdSet(exclude.begin(r), exclude.end(r));
        w.lists.write([&](std::size_t e) { return !excluded.contains(w.lists.ids[e]); }, r, out);
    };
    fusion::parallel_rows(out.rows, threads, [] { return TopWorkspace(); }, row);
}

}  // namespace vecrecall
