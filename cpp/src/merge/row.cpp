#include "merge/row.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

namespace vecrecall::merging {
namespace {

bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7F800000U) != 0x7F800000U; }

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

void Row::gather(const std::vector<Channel>& channels, std::size_t row) {
    reserve(channels, row);
    Entries items = items_;
    std::uint64_t* const holders = holders_.data();
    std::uint32_t* const entries = entries_.data();
    float* const kept = scores_.data();
    std::size_t place = 0;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        const std::int64_t* const ids = channels[c].ids + channels[c].begin(row);
        const float* const scores = channels[c].scores + channels[c].begin(row);
        const std::size_t n = channels[c].length(row);
        const std::uint64_t bit = std::uint64_t{1} << c;
        for (std::size_t i = 0; i < n; ++i) {
            if (ids[i] == -1) continue;
            if (ids[i] < 0 || !is_finite(scores[i])) [[unlikely]] {
                throw_bad_place(channels[c], row, ids[i], scores[i]);
            }
            const std::uint32_t entry = items.insert(ids[i]).entry;
            const std::uint64_t held = holders[entry];
            holders[entry] = held | bit;
            entries[place] = entry;
            kept[place] = scores[i];
            place += (held & bit) == 0 ? 1 : 0;  // a repeat is written over
        }
        begins_[c + 1] = place;
    }
    items_ = items;
}

}  // namespace vecrecall::merging
