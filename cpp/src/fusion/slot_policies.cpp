// The policies that take items channel by channel.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "fusion/policies.hpp"

namespace vecrecall::fusion {
namespace {

void start_cursors(Workspace& work) { work.cursors.assign(work.row.n_channels(), 0); }

// The number of free places in the list.
std::int64_t room(const Workspace& work) { return static_cast<std::int64_t>(work.output.room()); }

// Moves a channel's cursor to its next usable item; false if there is none. An item that is passed
// over never becomes usable again.
bool advance(Workspace& work, std::size_t c) {
    const std::span<const std::uint32_t> entries = work.row.entries(c);
    std::size_t& at = work.cursors[c];
    while (at < entries.size() && !work.output.usable(entries[at])) ++at;
    return at < entries.size();
}

// Takes a channel's next usable items, at most so many. Returns how many there were.
std::int64_t take_from(Workspace& work, std::size_t c, std::int64_t most) {
    most = std::min(most, room(work));
    std::int64_t taken = 0;
    for (; taken < most && advance(work, c); ++taken) {
        work.output.take(work.row.entries(c)[work.cursors[c]++]);
    }
    return taken;
}

// A turn in which items already taken use up places.
void take_or_skip(Workspace& work, std::size_t c, std::int64_t places) {
    const std::span<const std::uint32_t> entries = work.row.entries(c);
    std::size_t& at = work.cursors[c];
    for (; places > 0 && at < entries.size() && work.output.room() > 0; ++at) {
        if (work.output.is_taken(entries[at])) {
            --places;
        } else if (work.output.usable(entries[at])) {
            work.output.take(entries[at]);
            --places;
        }
    }
}

// Each channel takes its slots, in channel order.
void fill_slots(Workspace& work) {
    for (std::size_t c = 0; c < work.portions.size(); ++c) {
        const std::size_t before = work.output.size();
        work.charged[c] += take_from(work, c, work.portions[c].slots);
        for (const std::uint32_t entry : work.output.order().subspan(before)) {
            work.source_channel[entry] = static_cast<std::uint8_t>(c);
        }
    }
}

// Opens the portions of channels that may and can take more; false if there are none. Where none of
// them has a share, they have equal ones.
bool redistribute_slots(const QuotaPlan& policy, Workspace& work) {
    bool any = false;
    bool any_share = false;
    for (std::size_t c = 0; c < work.portions.size(); ++c) {
        Portion& portion = work.portions[c];
        portion = {.share = policy.portions[c].share,
                   .low = 0,
                   .high = policy.maximum[c] - work.charged[c],
                   .open = false,
                   .slots = 0};
        portion.open = portion.high > 0 && advance(work, c);
        any = any || portion.open;
        any_share = any_share || (portion.open && portion.share > 0);
    }
    if (!any_share) {
        for (Portion& portion : work.portions) portion.share = 1;
    }
    return any;
}

// By rank in the channel that took the item, then by channel.
void order_by_rank(Workspace& work) {
    const std::size_t end = *std::max_element(work.cursors.begin(), work.cursors.end());
    work.order.clear();
    for (std::size_t r = 0; r < end; ++r) {
        for (std::size_t c = 0; c < work.row.n_channels(); ++c) {
            if (r >= work.cursors[c]) continue;
            const std::uint32_t entry = work.row.entries(c)[r];
            if (work.output.is_taken(entry) && work.source_channel[entry] == c)
                work.order.push_back(entry);
        }
    }
    work.output.reorder(work.order);
}

}  // namespace

void pick(const Interleave& policy, Workspace& work) {
    start_cursors(work);
    for (bool more = true; more && work.output.room() > 0;) {
        more = false;
        for (std::size_t c = 0; c < work.row.n_channels(); ++c) {
            if (policy.refill) take_from(work, c, policy.weights[c]);
            else take_or_skip(work, c, policy.weights[c]);
            more = more || work.cursors[c] < work.row.entries(c).size();
        }
    }
}

void pick(const Priority& policy, Workspace& work) {
    start_cursors(work);
    for (std::size_t c = 0; c < work.row.n_channels(); ++c) {
        const auto taken = static_cast<std::int64_t>(work.output.size());
        const std::int64_t target = policy.cumulative ? policy.quotas[c] - taken : policy.quotas[c];
        const std::int64_t slots = std::clamp<std::int64_t>(target, 0, room(work));
        work.unfilled[c] = static_cast<std::int32_t>(slots - take_from(work, c, slots));
    }
    for (std::size_t c = 0; policy.backfill && c < work.row.n_channels(); ++c) {
        take_from(work, c, room(work));
    }
}

QuotaPlan::QuotaPlan(const Quota& policy, std::size_t k) : maximum(policy.maximum) {
    const auto total = static_cast<std::int64_t>(k);
    std::int64_t minima = 0;
    for (std::size_t c = 0; c < policy.shares.size(); ++c) {
        const std::int64_t low = policy.minimum[c];
        minima += std::min(low, std::numeric_limits<std::int64_t>::max() - minima);
        portions.push_back(
            {.share = policy.shares[c], .low = low, .high = maximum[c], .open = true, .slots = 0});
    }
    if (minima > total) {
        throw std::invalid_argument("minimum: expected counts with a sum of at most k = " +
                                    std::to_string(k) + ", got " + std::to_string(minima));
    }
    split(total, portions);
}

void pick(const QuotaPlan& policy, Workspace& work) {
    start_cursors(work);
    work.portions = policy.portions;
    work.charged.assign(work.row.n_channels(), 0);
    work.source_channel.resize(std::max(work.source_channel.size(), work.row.n_entries()));
    fill_slots(work);
    for (std::size_t c = 0; c < work.row.n_channels(); ++c) {
        work.unfilled[c] = static_cast<std::int32_t>(work.portions[c].slots - work.charged[c]);
    }
    while (work.output.room() > 0 && redistribute_slots(policy, work)) {
        split(room(work), work.portions);
        fill_slots(work);
    }
    order_by_rank(work);
}

}  // namespace vecrecall::fusion
