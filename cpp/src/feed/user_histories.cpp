#include "feed/user_histories.hpp"

#include <algorithm>

namespace vecrecall::feed {

std::uint32_t History::find(std::int64_t item) const {
    const Tag tag = tag_of(item);
    for (std::uint32_t p = 0; p < length_; ++p) {
        if (tags_[p] != tag || clicks_[p].item != item) continue;
        return p >= member_.first ? p - member_.first : p + length_ - member_.first;
    }
    return size();
}

void History::move(std::uint32_t from, std::uint32_t to) {
    tags_[place(to)] = tags_[place(from)];
    clicks_[place(to)] = clicks_[place(from)];
}

void History::remove(std::uint32_t i) {
    for (; i + 1 < size(); ++i) move(i + 1, i);
    tags_[place(i)] = 0;
    --member_.size;
}

void History::drop_oldest() {
    tags_[place(0)] = 0;
    member_.first = place(1);
    --member_.size;
}

void History::clear() {
    std::fill_n(tags_, length_, Tag{0});
    member_.first = 0;
    member_.size = 0;
}

void History::add(const Click& click) {
    const std::uint32_t same = find(click.item);
    if (same < size()) {
        if ((*this)[same].time > click.time) return;
        remove(same);
    }
    if (size() == length_) {
        if ((*this)[0].time > click.time) return;
        drop_oldest();
    }
    std::uint32_t i = member_.size++;
    for (; i > 0 && (*this)[i - 1].time > click.time; --i) move(i - 1, i);
    tags_[place(i)] = tag_of(click.item);
    clicks_[place(i)] = click;
}

History UserHistories::history(std::uint32_t m, std::uint32_t length) const {
    const Block& block = blocks_[m / kBlock];
    const std::size_t i = m % kBlock;
    return {block.members[i], block.tags.get() + i * tags_of(length),
            block.clicks.get() + i * length, length};
}

void UserHistories::add(std::int64_t user, const Click& click, std::uint32_t history_length,
                        std::size_t most) {
    const std::uint32_t m = find_or_place(user, history_length, most);
    at(m).last_seen = ++clock_;
    history(m, history_length).add(click);
}

std::uint32_t UserHistories::find_or_place(std::int64_t user, std::uint32_t length,
                                           std::size_t most) {
    const std::uint32_t known = table_.find(user, id_of());
    if (known != kNoEntry) return known;
    if (size_ < most) return append(user, length);
    if (longest_silent_.empty()) longest_silent_.build(size_, key_of(), id_of());
    const std::uint32_t m = longest_silent_.find(key_of());
    table_.erase(at(m).user, id_of());
    at(m).user = user;
    history(m, length).clear();
    table_.insert(user, m, id_of());
    longest_silent_.replace(clock_ + 1, user);  // what add() is about to set
    return m;
}

std::uint32_t UserHistories::append(std::int64_t user, std::uint32_t length) {
    if (size_ == blocks_.size() * kBlock) add_block(length);
    const std::uint32_t m = size_;
    at(m).user = user;
    table_.insert(user, m, id_of());
    ++size_;
    return m;
}

void UserHistories::add_block(std::uint32_t length) {
    blocks_.push_back({std::make_unique<Member[]>(kBlock),
                       std::make_unique<Tag[]>(kBlock * tags_of(length)),
                       std::unique_ptr<Click[]>(new Click[std::size_t{kBlock} * length])});
}

History UserHistories::restore_user(std::int64_t user, std::int64_t last_seen,
                                    std::uint32_t length) {
    const std::uint32_t m = append(user, length);
    at(m).last_seen = last_seen;
    return history(m, length);
}

void UserHistories::prefetch_member(std::int64_t user, std::uint32_t length) const {
    const std::uint32_t m = table_.first_look(user);
    if (m == kNoEntry) return;
    const Block& block = blocks_[m / kBlock];
    __builtin_prefetch(&block.members[m % kBlock]);
    __builtin_prefetch(block.tags.get() + (m % kBlock) * tags_of(length));
}

void UserHistories::prefetch_clicks(std::int64_t user, std::uint32_t length) const {
    const std::uint32_t m = table_.first_look(user);
    if (m == kNoEntry) return;
    const Block& block = blocks_[m / kBlock];
    const Member& member = block.members[m % kBlock];
    const std::uint32_t next = member.first + member.size;
    const Click* clicks = block.clicks.get() + std::size_t{m % kBlock} * length;
    __builtin_prefetch(clicks + (next < length ? next : next - length), 1);
}

}  // namespace vecrecall::feed
