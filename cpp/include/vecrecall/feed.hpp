// Clicks as they come, counted by cluster with exponential decay: the hot items of a cluster, and
// those that its users click together.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vecrecall/views.hpp"

namespace vecrecall {

namespace feed {
struct Cluster;
struct Window;
struct Writer;
}  // namespace feed

struct FeedOptions {
    std::size_t clusters = 1;
    double half_life = 1;       // in the unit of the times
    std::size_t capacity = 1;   // items that a cluster counts
    std::size_t history = 1;    // items that a cluster remembers of a user
    std::size_t max_users = 1;  // users that a cluster remembers
};

// Arrays of equal length, one place a click.
struct Clicks {
    const std::int64_t* clusters = nullptr;
    const std::int64_t* items = nullptr;
    const double* times = nullptr;
    const std::int64_t* users = nullptr;  // null, or -1 at a place: unknown
    const double* weights = nullptr;      // null for 1
    std::size_t size = 0;
};

// The first thing wrong with a batch.
struct ClickFault {
    enum Argument { kClusters, kItems, kTimes, kUsers, kWeights };
    Argument argument;
    std::size_t place;
};

// All that a feed knows, in flat arrays; offsets are those of ragged rows.
struct FeedState {
    std::vector<double> bases, presents, others;  // a cluster each
    std::vector<std::int64_t> against, clocks;    // a cluster each
    std::vector<std::int64_t> item_offsets, items, keys;
    std::vector<std::int64_t> sum_offsets;  // of items
    std::vector<double> values, rests, times, newest;
    std::vector<std::int64_t> user_offsets, users, last_seen;
    std::vector<std::int64_t> history_offsets, history_items;
    std::vector<double> history_times, history_weights;

    // field(name, array) for each.
    template <class State, class Field>
    static void visit(State& s, const Field& field) {
        field("bases", s.bases);
        field("presents", s.presents);
        field("others", s.others);
        field("against", s.against);
        field("clocks", s.clocks);
        field("item_offsets", s.item_offsets);
        field("items", s.items);
        field("keys", s.keys);
        field("sum_offsets", s.sum_offsets);
        field("values", s.values);
        field("rests", s.rests);
        field("times", s.times);
        field("newest", s.newest);
        field("user_offsets", s.user_offsets);
        field("users", s.users);
        field("last_seen", s.last_seen);
        field("history_offsets", s.history_offsets);
        field("history_items", s.history_items);
        field("history_times", s.history_times);
        field("history_weights", s.history_weights);
    }
};

// Any thread may read while another one observes. A reader sees whole clicks, and waits for some
// clicks in one cluster at most. Observers wait for one another. A child that is forked
// meanwhile has whole clicks, of a batch in progress those taken so far.
class ClusterFeed {
  public:
    // Throws std::invalid_argument where an option is not positive, the half-life not finite, the
    // history longer than 2^16 or another number beyond 2^31.
    explicit ClusterFeed(const FeedOptions& options);
    ~ClusterFeed();

    const FeedOptions& options() const { return options_; }

    // Takes all clicks in order; or none, and says why. One that is canceled has taken the first
    // of them, whole runs of 2^18.
    std::optional<ClickFault> observe(const Clicks& clicks);

    // The first of `n` that is not a cluster; n if there is none.
    std::size_t first_unknown(const std::int64_t* clusters, std::size_t n) const;

    // For each cluster the out.width items with the largest decayed counts at `now`, where a click
    // of the future counts as one of now, without those of its row of `exclude` (no rows: nothing
    // is excluded). Throws std::out_of_range for an unknown cluster.
    void top(const std::int64_t* clusters, double now, const RaggedView<std::int64_t>& exclude,
             const ListsOut& out, int threads = 0) const;

    // For each cluster and item the items that the same users have clicked in that cluster.
    void related(const std::int64_t* clusters, const std::int64_t* items, double now,
                 const ListsOut& out, int threads = 0) const;

    // Whether any click came with a user.
    bool knows_users() const { return knows_users_; }

    // Between two batches.
    FeedState state() const;

    // Into a feed that has seen nothing. Throws std::invalid_argument where the arrays do not fit
    // together.
    void restore(const FeedState& state);

  private:
    std::optional<ClickFault> fault(const Clicks& clicks) const;
    void check_clusters(const std::int64_t* clusters, std::size_t n) const;
    void fetch(const feed::Window& window) const;
    void take(const feed::Window& window);
    void take(const feed::Window& window, std::size_t i, feed::Cluster& cluster);

    FeedOptions options_;
    std::unique_ptr<feed::Cluster[]> clusters_;
    std::unique_ptr<feed::Writer> writer_;
    std::atomic<bool> knows_users_{false};
};

}  // namespace vecrecall
