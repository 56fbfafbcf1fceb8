// The construction of a feed, and the clicks that it takes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>

#include "feed/cluster.hpp"
#include "fp_env.hpp"
#include "vecrecall/feed.hpp"

namespace vecrecall {
namespace {

// Clicks under one lock: some ten microseconds that a reader may have to wait.
constexpr std::size_t kRun = 32;

constexpr std::size_t kMost = std::size_t{1} << 31;
constexpr std::size_t kMostHistory = std::size_t{1} << 16;

void check_number(std::size_t n, const char* name, std::size_t most) {
    if (n >= 1 && n <= most) return;
    throw std::invalid_argument(std::string(name) + ": expected a whole number from 1 to " +
                                std::to_string(most) + ", got " + std::to_string(n));
}

}  // namespace

ClusterFeed::ClusterFeed(const FeedOptions& options) : options_(options) {
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
    const auto is_cluster = [this](std::int64_t c) {
        return static_cast<std::uint64_t>(c) < options_.clusters;
    };
    const auto is_item = [](std::int64_t item) { return item >= 0; };
    const auto is_time = [](double t) { return std::isfinite(t); };
    const auto is_user = [](std::int64_t user) { return user >= -1; };
    const auto is_weight = [](double w) { return w >= 0 && std::isfinite(w); };
    if (const Fault f = look(ClickFault::kClusters, clicks.clusters, is_cluster)) return f;
    if (const Fault f = look(ClickFault::kItems, clicks.items, is_item)) return f;
    if (const Fault f = look(ClickFault::kTimes, clicks.times, is_time)) return f;
    if (const Fault f = look(ClickFault::kUsers, clicks.users, is_user)) return f;
    return look(ClickFault::kWeights, clicks.weights, is_weight);
}

std::optional<ClickFault> ClusterFeed::observe(const Clicks& clicks) {
    if (const auto wrong = fault(clicks)) return wrong;
    const FpEnvScope env;
    const std::lock_guard writing(writing_);
    // Grouping a batch costs a look at every cluster.
    if (clicks.size >= options_.clusters / 8 && clicks.size <= kMost) {
        observe_grouped(clicks);
    } else {
        for (std::size_t i = 0; i < clicks.size; ++i) {
            const auto place = static_cast<std::uint32_t>(i);
            take(clicks, &place, 1);
        }
    }
    return std::nullopt;
}

// A counting sort: a cluster's clicks come together, in their order, while it is in the cache.
void ClusterFeed::observe_grouped(const Clicks& clicks) {
    ends_.assign(options_.clusters + 1, 0);
    order_.resize(clicks.size);
    for (std::size_t i = 0; i < clicks.size; ++i) ++ends_[clicks.clusters[i] + 1];
    std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
    for (std::size_t i = 0; i < clicks.size; ++i) {
        order_[ends_[clicks.clusters[i]]++] = static_cast<std::uint32_t>(i);
    }
    std::size_t begin = 0;
    for (std::size_t c = 0; c < options_.clusters; ++c) {
        for (; begin < ends_[c]; begin += std::min(kRun, ends_[c] - begin)) {
            take(clicks, order_.data() + begin, std::min(kRun, ends_[c] - begin));
        }
    }
}

// Some clicks of one cluster. What one needs of memory is on its way while others are counted.
void ClusterFeed::take(const Clicks& clicks, const std::uint32_t* places, std::size_t n) {
    feed::Cluster& cluster = clusters_[clicks.clusters[places[0]]];
    const auto history = static_cast<std::uint32_t>(options_.history);
    const auto user = [&](std::size_t i) {
        return clicks.users == nullptr ? std::int64_t{-1} : clicks.users[places[i]];
    };
    const std::lock_guard lock(cluster.lock);
    for (std::size_t i = 0; i < n; ++i) {
        cluster.counts.prefetch_slot(clicks.items[places[i]]);
        if (user(i) >= 0) cluster.members.prefetch_slot(user(i));
    }
    for (std::size_t i = 0; i < n; ++i) {
        cluster.counts.prefetch(clicks.items[places[i]]);
        if (user(i) >= 0) cluster.members.prefetch_member(user(i), history);
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (user(i) >= 0) cluster.members.prefetch_clicks(user(i), history);
    }
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t p = places[i];
        const double weight = clicks.weights == nullptr ? 1 : clicks.weights[p];
        cluster.counts.add(clicks.items[p], clicks.times[p], weight, options_.half_life,
                           options_.capacity);
        if (user(i) < 0) continue;
        cluster.members.add(user(i), {clicks.items[p], clicks.times[p], weight}, history,
                            options_.max_users);
        knows_users_.store(true, std::memory_order_relaxed);
    }
}

}  // namespace vecrecall
