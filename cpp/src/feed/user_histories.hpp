// The users of a cluster, and what each of them clicked there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "feed/eviction_heap.hpp"
#include "feed/id_table.hpp"

namespace vecrecall::feed {

struct Click {
    std::int64_t item;
    double time;
    double weight;
};

struct Member {
    std::int64_t user;
    std::int64_t last_seen;  // on the clock of the cluster
    std::uint32_t first;     // the place of the oldest click
    std::uint32_t size;
};

// A few bits of an item, never 0: 0 is a place without a click.
using Tag = std::uint16_t;

inline Tag tag_of(std::int64_t item) {
    return static_cast<Tag>(static_cast<std::uint64_t>(item) * 0xD6E8FEB86659FD93ULL >> 48 | 1);
}

// One user's clicks, a ring: the latest click on each item, by time, then by arrival. Tags find an
// item in a sixteenth of the memory.
class History {
  public:
    History(Member& member, Tag* tags, Click* clicks, std::uint32_t length)
        : member_(member), tags_(tags), clicks_(clicks), length_(length) {}

    std::uint32_t size() const { return member_.size; }
    const Click& operator[](std::uint32_t i) const { return clicks_[place(i)]; }

    // Which of the clicks is on the item; size() if none is.
    std::uint32_t find(std::int64_t item) const;

    void add(const Click& click);
    void clear();

  private:
    std::uint32_t place(std::uint32_t i) const {
        const std::uint32_t p = member_.first + i;
        return p < length_ ? p : p - length_;
    }
    void move(std::uint32_t from, std::uint32_t to);
    void remove(std::uint32_t i);
    void drop_oldest();

    Member& member_;
    Tag* tags_;
    Click* clicks_;
    std::uint32_t length_;
};

class UserHistories {
  public:
    // Users are kept in blocks, which never move.
    static constexpr std::uint32_t kBlock = 64;

    void add(std::int64_t user, const Click& click, std::uint32_t history, std::size_t most);

    std::uint32_t size() const { return size_; }
    std::int64_t clock() const { return clock_; }
    const Member& operator[](std::uint32_t m) const {
        return blocks_[m / kBlock].members[m % kBlock];
    }
    History history(std::uint32_t m, std::uint32_t length) const;

    // Calls found(history, place) for every user of the block who clicked the item.
    template <class Found>
    void for_each_holder(std::uint32_t block, std::int64_t item, std::uint32_t length,
                         const Found& found) const {
        const Tag tag = tag_of(item);
        const std::size_t stride = tags_of(length);
        const std::uint32_t end = std::min(size_, (block + 1) * kBlock);
        for (std::uint32_t m = block * kBlock; m < end; ++m) {
            const Tag* tags = blocks_[block].tags.get() + (m % kBlock) * stride;
            unsigned any = 0;
            for (std::size_t i = 0; i < stride; ++i) any |= static_cast<unsigned>(tags[i] == tag);
            if (any == 0) continue;
            const History clicks = history(m, length);
            const std::uint32_t place = clicks.find(item);
            if (place < clicks.size()) found(clicks, place);
        }
    }

    // Goes on where another cluster of users stood: the clock, then its users in order.
    void restore_clock(std::int64_t clock) { clock_ = clock; }
    History restore_user(std::int64_t user, std::int64_t last_seen, std::uint32_t history);

    void prefetch_slot(std::int64_t user) const { table_.prefetch(user); }
    void prefetch_member(std::int64_t user, std::uint32_t length) const;
    void prefetch_clicks(std::int64_t user, std::uint32_t length) const;

  private:
    struct Block {
        std::unique_ptr<Member[]> members;
        std::unique_ptr<Tag[]> tags;
        std::unique_ptr<Click[]> clicks;  // those that are in use are initialized
    };

    // Whole registers of tags.
    static std::size_t tags_of(std::uint32_t length) {
        return (static_cast<std::size_t>(length) + 7) / 8 * 8;
    }
    auto id_of() const {
        return [this](std::uint32_t m) { return (*this)[m].user; };
    }
    auto key_of() const {
        return [this](std::uint32_t m) { return (*this)[m].last_seen; };
    }
    Member& at(std::uint32_t m) const { return blocks_[m / kBlock].members[m % kBlock]; }
    std::uint32_t find_or_place(std::int64_t user, std::uint32_t history, std::size_t most);
    std::uint32_t append(std::int64_t user, std::uint32_t history);
    void add_block(std::uint32_t history);

    std::vector<Block> blocks_;
    IdTable table_;
    EvictionHeap longest_silent_;  // empty until no more users may be kept
    std::uint32_t size_ = 0;
    std::int64_t clock_ = 0;  // clicks so far
};

}  // namespace vecrecall::feed
