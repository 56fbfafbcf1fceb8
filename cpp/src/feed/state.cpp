// A feed as flat arrays, and back.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "feed/cluster.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/feed.hpp"

namespace vecrecall {
namespace {

void append(const feed::Counts& counts, FeedState& s) {
    s.bases.push_back(counts.base());
    s.presents.push_back(counts.present().time);
    s.others.push_back(counts.present().other);
    s.against.push_back(counts.present().against);
    for (const feed::Count& c : counts.all()) {
        s.items.push_back(c.item);
        s.keys.push_back(c.key);
        for (const feed::Sum& sum : c.sums.all()) {
            s.values.push_back(sum.value);
            s.rests.push_back(sum.rest);
            s.times.push_back(sum.time);
            s.newest.push_back(sum.newest);
        }
        s.sum_offsets.push_back(static_cast<std::int64_t>(s.values.size()));
    }
    s.item_offsets.push_back(static_cast<std::int64_t>(s.items.size()));
}

void append(const feed::UserHistories& members, std::uint32_t length, FeedState& s) {
    s.clocks.push_back(members.clock());
    for (std::uint32_t m = 0; m < members.size(); ++m) {
        s.users.push_back(members[m].user);
        s.last_seen.push_back(members[m].last_seen);
        const feed::History clicks = members.history(m, length);
        for (std::uint32_t i = 0; i < clicks.size(); ++i) {
            s.history_items.push_back(clicks[i].item);
            s.history_times.push_back(clicks[i].time);
            s.history_weights.push_back(clicks[i].weight);
        }
        s.history_offsets.push_back(static_cast<std::int64_t>(s.history_items.size()));
    }
    s.user_offsets.push_back(static_cast<std::int64_t>(s.users.size()));
}

void expect(bool good, const char* what) {
    if (!good) throw std::invalid_argument(std::string("state: expected ") + what);
}

void check_offsets(const std::vector<std::int64_t>& offsets, std::size_t rows, std::size_t values,
                   std::size_t most) {
    expect(offsets.size() == rows + 1 && offsets.front() == 0 &&
               offsets.back() == static_cast<std::int64_t>(values),
           "offsets that fit the rows and values");
    for (std::size_t r = 0; r < rows; ++r) {
        expect(offsets[r] <= offsets[r + 1], "offsets that never descend");
        expect(offsets[r + 1] - offsets[r] <= static_cast<std::int64_t>(most),
               "no more than the feed may hold");
    }
}

void check_ids(const std::vector<std::int64_t>& ids, const std::vector<std::int64_t>& offsets) {
    std::unordered_set<std::int64_t> seen;
    for (std::size_t r = 0; r + 1 < offsets.size(); ++r) {
        seen.clear();
        canceling::check_each(r);
        for (std::int64_t i = offsets[r]; i < offsets[r + 1]; ++i) {
            canceling::check_each(static_cast<std::size_t>(i));
            expect(ids[i] >= 0 && seen.insert(ids[i]).second, "distinct ids >= 0");
        }
    }
}

void check_numbers(const std::vector<double>& numbers, std::size_t n, double least) {
    expect(numbers.size() == n, "arrays of equal length");
    for (const double x : numbers) {
        expect(std::isfinite(x) && x >= least, "finite numbers, no weight below 0");
    }
}

void check(const FeedState& s, const FeedOptions& options) {
    constexpr double kAny = std::numeric_limits<double>::lowest();
    const std::size_t n = options.clusters;
    check_offsets(s.item_offsets, n, s.items.size(), options.capacity);
    check_offsets(s.user_offsets, n, s.users.size(), options.max_users);
    check_offsets(s.sum_offsets, s.items.size(), s.values.size(), feed::Sums::kMost);
    check_offsets(s.history_offsets, s.users.size(), s.history_items.size(), options.history);
    expect(s.clocks.size() == n && s.against.size() == n && s.keys.size() == s.items.size() &&
               s.last_seen.size() == s.users.size(),
           "arrays of equal length");
    for (const auto* times : {&s.bases, &s.presents, &s.others}) check_numbers(*times, n, kAny);
    check_numbers(s.values, s.values.size(), 0);
    for (const auto* numbers : {&s.rests, &s.times, &s.newest}) {
        check_numbers(*numbers, s.values.size(), kAny);
    }
    check_numbers(s.history_times, s.history_items.size(), kAny);
    check_numbers(s.history_weights, s.history_items.size(), 0);
    check_ids(s.items, s.item_offsets);
    check_ids(s.users, s.user_offsets);
    check_ids(s.history_items, s.history_offsets);
}

void restore_counts(const FeedState& s, std::size_t c, feed::Counts& counts) {
    std::vector<feed::Count> all;
    for (auto i = static_cast<std::size_t>(s.item_offsets[c]);
         i < static_cast<std::size_t>(s.item_offsets[c + 1]); ++i) {
        feed::Count count{s.items[i], s.keys[i], {}};
        for (auto j = static_cast<std::size_t>(s.sum_offsets[i]);
             j < static_cast<std::size_t>(s.sum_offsets[i + 1]); ++j) {
            count.sums.push_back({s.values[j], s.rests[j], s.times[j], s.newest[j]});
        }
        all.push_back(count);
    }
    counts.restore(s.bases[c], {s.presents[c], s.others[c], s.against[c]}, std::move(all));
}

void restore_members(const FeedState& s, std::size_t c, std::uint32_t length,
                     feed::UserHistories& members) {
    members.restore_clock(s.clocks[c]);
    for (auto m = static_cast<std::size_t>(s.user_offsets[c]);
         m < static_cast<std::size_t>(s.user_offsets[c + 1]); ++m) {
        feed::History clicks = members.restore_user(s.users[m], s.last_seen[m], length);
        for (auto i = static_cast<std::size_t>(s.history_offsets[m]);
             i < static_cast<std::size_t>(s.history_offsets[m + 1]); ++i) {
            clicks.add({s.history_items[i], s.history_times[i], s.history_weights[i]});
        }
    }
}

}  // namespace

FeedState ClusterFeed::state() const {
    const std::lock_guard writing(writer_->get().lock);  // readers change nothing
    FeedState s;
    s.item_offsets.push_back(0);
    s.sum_offsets.push_back(0);
    s.user_offsets.push_back(0);
    s.history_offsets.push_back(0);
    for (std::size_t c = 0; c < options_.clusters; ++c) {
        check_cancelled();
        append(clusters_[c].counts, s);
        append(clusters_[c].members, static_cast<std::uint32_t>(options_.history), s);
    }
    return s;
}

void ClusterFeed::restore(const FeedState& s) {
    check(s, options_);
    const std::lock_guard writing(writer_->get().lock);
    for (std::size_t c = 0; c < options_.clusters; ++c) {
        check_cancelled();
        feed::Cluster& cluster = clusters_[c];
        const std::lock_guard lock(cluster.lock());
        expect(cluster.counts.all().empty() && cluster.members.size() == 0,
               "a feed without clicks");
        restore_counts(s, c, cluster.counts);
        restore_members(s, c, static_cast<std::uint32_t>(options_.history), cluster.members);
    }
    if (!s.users.empty()) knows_users_ = true;
}

}  // namespace vecrecall
