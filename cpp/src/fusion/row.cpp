#include "fusion/row.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "platform/canceling.hpp"

namespace vecrecall::fusion {
namespace {

Places places_of(const Channel& channel, std::size_t row) {
    const std::size_t begin = channel.begin(row);
    return {channel.ids + begin, channel.scores + begin, channel.length(row)};
}

// The list that is loaded after channel c's.
Places next_places(const std::vector<Channel>& channels, std::size_t c, std::size_t row) {
    if (c + 1 < channels.size()) return places_of(channels[c + 1], row);
    return row + 1 < channels[0].rows ? places_of(channels[0], row + 1) : Places{};
}

// Places that are fetched together: a cache line of ids, and half a line of scores.
constexpr std::size_t kFetched = 64 / sizeof(std::int64_t);

void prefetch(const Places& places, std::size_t from) {
    if (from >= places.n) return;
    __builtin_prefetch(places.ids + from);
    __builtin_prefetch(places.scores + from);
}

bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7F800000U) != 0x7F800000U; }

// Whether every place has an id and a finite score. Without branches: most rows are.
bool all_in_use(const Places& places) {
    std::int64_t ids = 0;
    for (std::size_t i = 0; i < places.n; ++i) ids |= places.ids[i];
    std::int32_t bad = 0;
    for (std::size_t i = 0; i < places.n; ++i) bad |= is_finite(places.scores[i]) ? 0 : 1;
    return ids >= 0 && bad == 0;
}

[[noreturn]] void throw_bad_place(const Channel& channel, std::size_t row, std::int64_t id) {
    const std::string where = "channels['" + std::string(channel.name) + "']: expected ";
    if (id < 0) {
        throw std::invalid_argument(where + "ids >= 0, or -1 for none, got " + std::to_string(id) +
                                    " in row " + std::to_string(row));
    }
    throw std::invalid_argument(where + "numbers as scores, got nan for id " + std::to_string(id) +
                                " in row " + std::to_string(row));
}

}  // namespace

void Row::reserve(const std::vector<Channel>& channels, std::size_t row) {
    std::size_t most = 0;
    for (const Channel& channel : channels) most += channel.length(row);
    items_ = table_.start(most);
    canceling::check_after(most);
    begins_.assign(1, 0);
    scores_of_.clear();
    infinite_ = 0;
    at_least(entries_, most + 1);
    at_least(scores_, most + 1);
    canceling::fill(at_least(holders_, most + 1), most, std::uint64_t{0});
}

// The places that hold an item, side by side.
Places Row::in_use(const Places& places, const Channel& channel, std::size_t row) {
    used_ids_.resize(std::max(used_ids_.size(), places.n));
    float* const scores = scores_.data() + begins_.back();
    std::size_t n = 0;
    for (std::size_t i = 0; i < places.n; ++i) {
        const std::int64_t id = places.ids[i];
        if (id == -1) continue;
        const float score = places.scores[i];
        if (id < 0 || std::isnan(score)) throw_bad_place(channel, row, id);
        if (!is_finite(score)) infinite_ |= std::uint64_t{1} << scores_of_.size();
        used_ids_[n] = id;
        scores[n++] = score;
    }
    return {used_ids_.data(), scores, n};
}

// Puts a channel's items behind those of the channels before. Returns whether any is repeated; it
// stands there twice then. Fetches the next list meanwhile, for lists are short and lie apart; line
// by line, for a core that asks for many at once waits until the first ones arrive.
bool Row::add(const Places& places, const Places& next) {
    const std::uint64_t bit = std::uint64_t{1} << scores_of_.size();
    std::uint64_t* const holders = holders_.data();
    std::uint32_t* const entries = entries_.data() + begins_.back();
    const std::size_t n = places.n;
    const std::int64_t* const ids = places.ids;
    Entries items = items_;
    std::size_t from = 0;
    for (; from < n; from += kFetched) {
        canceling::check_each(from);
        prefetch(next, from);
        const std::size_t end = std::min(n, from + kFetched);
        for (std::size_t i = from; i < end; ++i) entries[i] = items.insert(ids[i]).entry;
    }
    for (; from < next.n; from += kFetched) prefetch(next, from);
    items_ = items;
    std::uint64_t held_before = 0;
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        const std::uint64_t held = holders[entries[i]];
        held_before |= held;
        holders[entries[i]] = held | bit;
    }
    return (held_before & bit) != 0;
}

// Leaves only the first place of each item.
Places Row::without_repeats(const Places& places) {
    std::uint32_t* const entries = entries_.data() + begins_.back();
    float* const scores = scores_.data() + begins_.back();
    seen_.assign(items_.size(), 0);
    std::size_t n = 0;
    for (std::size_t i = 0; i < places.n; ++i) {
        const std::uint32_t entry = entries[i];
        entries[n] = entry;
        scores[n] = places.scores[i];
        n += 1 - seen_[entry];
        seen_[entry] = 1;
    }
    return {nullptr, scores, n};
}

void Row::load(const std::vector<Channel>& channels, std::size_t row) {
    reserve(channels, row);
    for (std::size_t c = 0; c < channels.size(); ++c) {
        const Channel& channel = channels[c];
        Places places = places_of(channel, row);
        canceling::check_after(places.n);
        if (!all_in_use(places)) places = in_use(places, channel, row);
        if (add(places, next_places(channels, c, row))) places = without_repeats(places);
        scores_of_.push_back(places.scores);
        begins_.push_back(begins_.back() + places.n);
    }
}

}  // namespace vecrecall::fusion
