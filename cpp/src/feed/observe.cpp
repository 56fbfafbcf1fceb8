// The construction of a feed, and the clicks that it takes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>

#include "feed/cluster.hpp"
#include "platform/canceling.hpp"
#include "platform/fp_env.hpp"
#include "vecrecall/feed.hpp"

namespace vecrecall {

// Some clicks of a batch, in the order in which they are taken.
struct feed::Window {
    const Clicks& clicks;
    const std::size_t* places;
    std::size_t size;

    std::int64_t cluster(std::size_t i) const { return clicks.clusters[places[i]]; }
    std::int64_t item(std::size_t i) const { return clicks.items[places[i]]; }
    double time(std::size_t i) const { return clicks.times[places[i]]; }
    std::int64_t user(std::size_t i) const {
        return clicks.users == nullptr ? -1 : clicks.users[places[i]];
    }
    double weight(std::size_t i) const {
        return clicks.weights == nullptr ? 1 : clicks.weights[places[i]];
    }
};

namespace {

// Clicks that are fetched together: about ten microseconds that a reader may have to wait.
constexpr std::size_t kWindow = 32;

// Clicks that are ordered together, and taken whether the call is canceled meanwhile or not.
constexpr std::size_t kSlice = std::size_t{1} << 18;

constexpr std::size_t kMost = std::size_t{1} << 31;
constexpr std::size_t kMostHistory = std::size_t{1} << 16;

void check_number(std::size_t n, const char* name, std::size_t most) {
    if (n >= 1 && n <= most) return;
    throw std::invalid_argument(std::string(name) + ": expected a whole number from 1 to " +
                                std::to_string(most) + ", got " + std::to_string(n));
}

// A counting sort: a cluster's clicks come together, in their order, while it is in the cache. It
// costs a look at every cluster, for which a small batch is taken as it is.
void order(const Clicks& clicks, std::size_t begin, std::size_t end, std::size_t n_clusters,
           feed::Writing& own) {
    own.order.resize(end - begin);
    if (end - begin < n_clusters / 8) {
        std::iota(own.order.begin(), own.order.end(), begin);
        return;
    }
    own.ends.assign(n_clusters + 1, 0);
    for (std::size_t i = begin; i < end; ++i) ++own.ends[clicks.clusters[i] + 1];
    std::partial_sum(own.ends.begin(), own.ends.end(), own.ends.begin());
    for (std::size_t i = begin; i < end; ++i) own.order[own.ends[clicks.clusters[i]]++] = i;
}

}  // namespace

ClusterFeed::ClusterFeed(const FeedOptions& options)
    : options_(options), writer_(std::make_unique<feed::Writer>()) {
    check_number(options.clusters, "n_clusters", kMost);
    check_number(options.capacity, "capacity", kMost);
    check_number(options.history, "history", kMostHistory);
    check_number(options.max_users, "max_users", kMost);
    if (!(options.half_life > 0) || std::isinf(options.half_life)) {
        throw std::invalid_argument("half_life: expected a finite number > 0, got " +
                                    std::to_string(options.half_life));
    }
    clusters_ = std::make_unique<feed::Cluster[]>(options.clusters);
}

ClusterFeed::~ClusterFeed() = default;

std::size_t ClusterFeed::first_unknown(const std::int64_t* clusters, std::size_t n) const {
    const auto known = [this](std::int64_t c) {
        return static_cast<std::uint64_t>(c) < options_.clusters;
    };
    return static_cast<std::size_t>(std::find_if_not(clusters, clusters + n, known) - clusters);
}

void ClusterFeed::check_clusters(const std::int64_t* clusters, std::size_t n) const {
    if (first_unknown(clusters, n) < n) throw std::out_of_range("clusters: expected known ones");
}

std::optional<ClickFault> ClusterFeed::fault(const Clicks& clicks) const {
    using Fault = std::optional<ClickFault>;
    const auto look = [&](ClickFault::Argument argument, const auto* values,
                          const auto& good) -> Fault {
        if (values == nullptr) return std::nullopt;
        const auto* const end = values + clicks.size;
        const auto* const bad = std::find_if_not(values, end, good);
        if (bad == end) return std::nullopt;
        return ClickFault{argument, static_cast<std::size_t>(bad - values)};
    };
    const auto is_item = [](std::int64_t item) { return item >= 0; };
    const auto is_time = [](double t) { return std::isfinite(t); };
    const auto is_user = [](std::int64_t user) { return user >= -1; };
    const auto is_weight = [](double w) { return w >= 0 && std::isfinite(w); };
    const std::size_t unknown = first_unknown(clicks.clusters, clicks.size);
    if (unknown < clicks.size) return ClickFault{ClickFault::kClusters, unknown};
    if (const Fault f = look(ClickFault::kItems, clicks.items, is_item)) return f;
    if (const Fault f = look(ClickFault::kTimes, clicks.times, is_time)) return f;
    if (const Fault f = look(ClickFault::kUsers, clicks.users, is_user)) return f;
    return look(ClickFault::kWeights, clicks.weights, is_weight);
}

std::optional<ClickFault> ClusterFeed::observe(const Clicks& clicks) {
    if (const auto wrong = fault(clicks)) return wrong;
    const FpEnvScope env;
    feed::Writing& own = writer_->get();
    const std::lock_guard writing(own.lock);
    for (std::size_t begin = 0; begin < clicks.size; begin += kSlice) {
        if (begin > 0) check_cancelled();
        order(clicks, begin, std::min(clicks.size, begin + kSlice), options_.clusters, own);
        for (std::size_t at = 0; at < own.order.size(); at += kWindow) {
            take({clicks, own.order.data() + at, std::min(kWindow, own.order.size() - at)});
        }
    }
    return std::nullopt;
}

// The memory that the clicks need is being fetched while the first are counted.
void ClusterFeed::take(const feed::Window& window) {
    fetch(window);
    for (std::size_t begin = 0, end = 0; begin < window.size; begin = end) {
        const std::int64_t c = window.cluster(begin);
        while (end < window.size && window.cluster(end) == c) ++end;
        feed::Cluster& cluster = clusters_[c];
        const std::lock_guard lock(cluster.lock());
        for (std::size_t i = begin; i < end; ++i) take(window, i, cluster);
    }
}

// Only the writer changes a cluster, and that is who reads here: no lock.
void ClusterFeed::fetch(const feed::Window& window) const {
    const auto history = static_cast<std::uint32_t>(options_.history);
    const auto each = [&](const auto& counts, const auto& members) {
        for (std::size_t i = 0; i < window.size; ++i) {
            const feed::Cluster& cluster = clusters_[window.cluster(i)];
            counts(cluster.counts, window.item(i));
            if (window.user(i) >= 0) members(cluster.members, window.user(i));
        }
    };
    const auto nothing = [](const auto&, std::int64_t) {};
    each([](const feed::Counts& c, std::int64_t) { __builtin_prefetch(&c); },
         [](const feed::UserHistories& m, std::int64_t) { __builtin_prefetch(&m); });
    each([](const feed::Counts& c, std::int64_t item) { c.prefetch_slot(item); },
         [](const feed::UserHistories& m, std::int64_t user) { m.prefetch_slot(user); });
    each(
        [](const feed::Counts& c, std::int64_t item) { c.prefetch(item); },
        [=](const feed::UserHistories& m, std::int64_t user) { m.prefetch_member(user, history); });
    each(nothing, [=](const feed::UserHistories& m, std::int64_t user) {
        m.prefetch_clicks(user, history);
    });
}

void ClusterFeed::take(const feed::Window& window, std::size_t i, feed::Cluster& cluster) {
    const feed::Click click{window.item(i), window.time(i), window.weight(i)};
    cluster.counts.add(click.item, click.time, click.weight, options_.half_life, options_.capacity);
    if (window.user(i) < 0) return;
    cluster.members.add(window.user(i), click, static_cast<std::uint32_t>(options_.history),
                        options_.max_users);
    knows_users_.store(true, std::memory_order_relaxed);
}

}  // namespace vecrecall
