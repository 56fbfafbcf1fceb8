// One user's lists, each item once: the input of every policy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fusion/entry_table.hpp"
#include "platform/memory.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall::fusion {

// A row of one channel.
struct Places {
    const std::int64_t* ids = nullptr;
    const float* scores = nullptr;
    std::size_t n = 0;
};

class Row {
  public:
    // Replaces what was there. Throws std::invalid_argument for a score that is NaN or an id below
    // -1.
    void load(const std::vector<Channel>& channels, std::size_t row);

    std::size_t n_channels() const { return begins_.size() - 1; }
    std::size_t n_entries() const { return items_.size(); }
    const std::int64_t* ids() const { return items_.ids(); }
    std::uint32_t find(std::int64_t id) const { return items_.find(id); }
    // The channels that hold the item.
    std::uint64_t channels_of(std::uint32_t entry) const { return holders_[entry]; }

    // A channel's items; the r-th has rank r + 1.
    std::span<const std::uint32_t> entries(std::size_t c) const {
        return {entries_.data() + begins_[c], length(c)};
    }
    // Their scores in the channel.
    std::span<const float> scores(std::size_t c) const { return {scores_of_[c], length(c)}; }
    // Whether any of them is infinite.
    bool infinite(std::size_t c) const { return (infinite_ >> c & 1) != 0; }

  private:
    std::size_t length(std::size_t c) const { return begins_[c + 1] - begins_[c]; }
    Places in_use(const Places& places, const Channel& channel, std::size_t row);
    bool add(const Places& places, const Places& next);
    Places without_repeats(const Places& places);
    void reserve(const std::vector<Channel>& channels, std::size_t row);

    EntryTable table_;
    Entries items_;
    Buffer<std::uint64_t> holders_;    // by entry
    Buffer<std::uint32_t> entries_;    // by place: channel after channel, in order of rank
    std::vector<std::size_t> begins_;  // by channel
    std::vector<const float*> scores_of_;
    std::uint64_t infinite_ = 0;  // bit c where channel c has an infinite score
    Buffer<float> scores_;  // by place, of channels whose lists have gaps, repeats or infinities
    std::vector<std::int64_t> used_ids_;  // of a list with gaps
    std::vector<std::uint8_t> seen_;      // by entry: whether a list with repeats had it already
};

}  // namespace vecrecall::fusion
