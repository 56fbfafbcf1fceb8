#include "merge/row.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

namespace vecrecall::merging {
namespace {

bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7F800000U) != 0x7F800000U; }

// Whether every place has an id and a finite score. Without branches: most rows are.
bool all_in_use(const Places& places) {
    std::int64_t ids = 0;
    for (std::size_t i = 0; i < places.n; ++i) ids |= places.ids[i];
    std::int32_t bad = 0;
    for (std::size_t i = 0; i < places.n; ++i) bad |= is_finite(places.scores[i]) ? 0 : 1;
    return ids >= 0 && bad == 0;
}

[[noreturn]] void throw_bad_place(const Channel& channel, std::size_t row, std::int64_t id,
                                  float score) {
    const std::string where = "channels['" + std::string(channel.name) + "']: expected ";
    if (id < 0) {
        throw std::invalid_argument(where + "ids >= 0, or -1 for none, got " + std::to_string(id) +
                                    " in row " + std::to_string(row));
    }
    throw std::invalid_argument(where + "finite scores, got " + std::to_string(score) + " for id " +
                                std::to_string(id) + " in row " + std::to_string(row));
}

}  // namespace

void Row::reserve(const std::vector<Channel>& channels, std::size_t row) {
    std::size_t most = 0;
    for (const Channel& channel : channels) most += channel.length(row);
    items_ = table_.start(most);
    begins_.assign(channels.size() + 1, 0);
    if (entries_.size() <= most) {
        holders_.resize(most + 1);
        entries_.resize(most + 1);
        scores_.resize(most + 1);
    }
    std::fill_n(holders_.data(), most, 0);
}

// Puts a channel's items behind those of the channels before; returns where the next may begin.
template <bool kAllInUse, class Bad>
std::size_t Row::add(const Places& places, Entries& items, std::size_t c, std::size_t at,
                     const Bad& bad) {
    const std::uint64_t bit = std::uint64_t{1} << c;
    std::uint64_t* const holders = holders_.data();
    std::uint32_t* const entries = entries_.data();
    float* const scores = scores_.data();
    for (std::size_t i = 0; i < places.n; ++i) {
        const std::int64_t id = places.ids[i];
        if (!kAllInUse && id == -1) continue;
        if (!kAllInUse && (id < 0 || !is_finite(places.scores[i]))) [[unlikely]]
            bad(i);
        const std::uint32_t entry = items.insert(id).entry;
        const std::uint64_t held = holders[entry];
        holders[entry] = held | bit;
        entries[at] = entry;
        scores[at] = places.scores[i];
        at += (held & bit) == 0 ? 1 : 0;  // a repeat is written over
    }
    return at;
}

void Row::gather(const std::vector<Channel>& channels, std::size_t row) {
    reserve(channels, row);
    Entries items = items_;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        const Channel& channel = channels[c];
        const std::size_t begin = channel.begin(row);
        const Places places{channel.ids + begin, channel.scores + begin, channel.length(row)};
        const auto bad = [&](std::size_t i) {
            throw_bad_place(channel, row, places.ids[i], places.scores[i]);
        };
        begins_[c + 1] = all_in_use(places) ? add<true>(places, items, c, begins_[c], bad)
                                            : add<false>(places, items, c, begins_[c], bad);
    }
    items_ = items;
}

}  // namespace vecrecall::merging
