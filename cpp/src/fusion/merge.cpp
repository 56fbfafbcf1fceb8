#include "vecrecall/merge.hpp"

#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fusion/output.hpp"
#include "fusion/parallel_rows.hpp"
#include "fusion/policies.hpp"
#include "platform/canceling.hpp"
#include "platform/fp_env.hpp"

namespace vecrecall {
namespace {

using fusion::Workspace;

template <class P>
inline constexpr bool kByScore = std::is_same_v<P, fusion::RankTerms> ||
                                 std::is_same_v<P, WeightedSum> || std::is_same_v<P, Maximum>;

// The values that a policy needs for the whole batch, made once.
const auto& planned(const auto& policy, const std::vector<Channel>&, std::size_t) { return policy; }
fusion::RankTerms planned(const Rrf& policy, const std::vector<Channel>& channels, std::size_t) {
    return {policy, channels};
}
fusion::QuotaPlan planned(const Quota& policy, const std::vector<Channel>&, std::size_t k) {
    return {policy, k};
}

void write_channels(const Workspace& work, std::size_t row, const MergeOut& out) {
    std::uint64_t* const to = out.channels + row * out.lists.width;
    const std::span<const std::uint32_t> order = work.output.order();
    for (std::size_t i = 0; i < order.size(); ++i) to[i] = work.row.channels_of(order[i]);
    std::fill(to + order.size(), to + out.lists.width, 0);
}

// The lists are walked again, and each place goes to its item's row: those of items that are not in
// the list to one more row at the end, so that nothing branches.
void gather_provenance(Workspace& work) {
    const std::size_t n_channels = work.row.n_channels();
    const std::size_t n = work.output.size();
    const std::size_t size = (n + 1) * n_channels;
    work.ranks.assign(size, 0);
    work.channel_scores.assign(size, std::numeric_limits<float>::quiet_NaN());
    std::int32_t* const ranks = work.ranks.data();
    float* const scores = work.channel_scores.data();
    const std::uint32_t* const places = work.output.places();
    for (std::size_t c = 0; c < n_channels; ++c) {
        const std::span<const std::uint32_t> entries = work.row.entries(c);
        const std::span<const float> given = work.row.scores(c);
        for (std::size_t r = 0; r < entries.size(); ++r) {
            const std::size_t place = std::min(std::size_t{places[entries[r]]}, n);
            ranks[place * n_channels + c] = static_cast<std::int32_t>(r + 1);
            scores[place * n_channels + c] = given[r];
        }
    }
}

void write_provenance(Workspace& work, std::size_t row, const MergeOut& out) {
    gather_provenance(work);
    const std::size_t n_channels = work.row.n_channels();
    const std::size_t used = work.output.size() * n_channels;
    const std::size_t size = out.lists.width * n_channels;
    std::int32_t* const ranks = out.ranks + row * size;
    float* const scores = out.channel_scores + row * size;
    std::copy_n(work.ranks.data(), used, ranks);
    std::copy_n(work.channel_scores.data(), used, scores);
    std::fill(ranks + used, ranks + size, 0);
    std::fill(scores + used, scores + size, std::numeric_limits<float>::quiet_NaN());
}

// 1 / position, for lists that have no other score.
std::vector<float> turn_scores(std::size_t k, const std::vector<Channel>& channels) {
    std::size_t most = 0;
    for (std::size_t r = 0; r < channels.front().rows; ++r) {
        std::size_t places = 0;
        for (const Channel& channel : channels) places += channel.length(r);
        most = std::max(most, places);
    }
    std::vector<float> scores(std::min(k, most));
    for (std::size_t i = 0; i < scores.size(); ++i) {
        canceling::check_each(i);
        scores[i] = static_cast<float>(1.0 / static_cast<double>(i + 1));
    }
    return scores;
}

template <class P>
void run(const std::vector<Channel>& channels, const P& policy, const MergeFilters& filters,
         const MergeOut& out, int threads) {
    const std::vector<float> by_place =
        kByScore<P> ? std::vector<float>() : turn_scores(out.lists.width, channels);
    const auto merge_row = [&](Workspace& work, std::size_t row) {
        work.row.load(channels, row);
        canceling::check_after(work.row.n_entries());
        work.output.start(work.row, row, out.lists.width);
        work.unfilled = {out.unfilled + row * channels.size(), channels.size()};
        std::fill(work.unfilled.begin(), work.unfilled.end(), 0);
        work.negative = 0;
        fusion::pick(policy, work);
        if (work.negative != 0 && out.negative != nullptr) *out.negative |= work.negative;
        canceling::check_after(work.row.n_entries());
        const std::span<const std::uint32_t> order = work.output.order();
        const auto score = [&](std::size_t i) {
            return kByScore<P> ? work.scores[order[i]] : by_place[i];
        };
        fusion::write_list(order, work.row.ids(), score, row, out.lists);
        write_channels(work, row, out);
        if (out.ranks != nullptr) write_provenance(work, row, out);
    };
    fusion::parallel_rows(out.lists.rows, threads, [&] { return Workspace(filters); }, merge_row);
}

void expect(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

void check_size(const Rrf& p, std::size_t n) {
    expect(p.weights.size() == n, "weights: expected one per channel");
}
void check_size(const WeightedSum& p, std::size_t n) {
    expect(p.weights.size() == n, "weights: expected one per channel");
}
void check_size(const Maximum& p, std::size_t n) {
    expect(p.weights.size() == n, "weights: expected one per channel");
}
void check_size(const Interleave& p, std::size_t n) {
    expect(p.weights.size() == n, "weights: expected one per channel");
    for (const std::int64_t weight : p.weights) expect(weight >= 1, "weights: expected >= 1");
}
void check_size(const Priority& p, std::size_t n) {
    expect(p.quotas.size() == n, "quotas: expected one per channel");
}
void check_size(const Quota& p, std::size_t n) {
    expect(p.shares.size() == n && p.minimum.size() == n && p.maximum.size() == n,
           "shares, minimum, maximum: expected one per channel");
    for (std::size_t c = 0; c < n; ++c) {
        expect(p.minimum[c] >= 0 && p.maximum[c] >= p.minimum[c],
               "maximum: expected counts of at least the minimum, which is at least 0");
    }
}

void check(const std::vector<Channel>& channels, const MergeFilters& filters, std::size_t rows) {
    expect(!channels.empty() && channels.size() <= kMaxChannels,
           "channels: expected 1 to 64 channels");
    for (const Channel& channel : channels) {
        expect(channel.rows == rows, "channels: expected as many rows as the output has");
    }
    expect(filters.exclude.offsets == nullptr || filters.exclude.rows == rows,
           "exclude: expected one row per user");
}

}  // namespace

void merge(const std::vector<Channel>& channels, const Policy& policy, const MergeFilters& filters,
           const MergeOut& out, int threads) {
    check(channels, filters, out.lists.rows);
    const FpEnvScope env;
    std::visit(
        [&](const auto& p) {
            check_size(p, channels.size());
            run(channels, planned(p, channels, out.lists.width), filters, out, threads);
        },
        policy);
}

}  // namespace vecrecall
