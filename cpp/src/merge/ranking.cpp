#include "merge/ranking.hpp"

#include <algorithm>

namespace vecrecall::merging {
namespace {

constexpr std::size_t kCrowd = 32;  // more in a bucket than insertion is good for

struct Before {
    const std::int64_t* ids;

    bool operator()(std::uint64_t a, std::uint64_t b) const {
        if (a >> 32 != b >> 32) return a < b;
        return ids[static_cast<std::uint32_t>(a)] < ids[static_cast<std::uint32_t>(b)];
    }
};

// Cheap where hardly anything is out of place.
void insertion_sort(std::uint64_t* keys, std::size_t n, const Before& before) {
    for (std::size_t i = 1; i < n; ++i) {
        const std::uint64_t key = keys[i];
        std::size_t j = i;
        for (; j > 0 && before(key, keys[j - 1]); --j) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

}  // namespace

// Distributes the keys over about as many buckets of equal width. Returns where the bucket of the
// k-th ends.
std::size_t Ranking::spread(std::size_t k) {
    std::uint32_t low = UINT32_MAX;
    std::uint32_t high = 0;
    for (std::size_t i = 0; i < size_; ++i) {
        const auto key = static_cast<std::uint32_t>(keys_[i] >> 32);
        low = std::min(low, key);
        high = std::max(high, key);
    }
    const auto buckets_log2 = static_cast<int>(std::bit_width(size_));
    const int shift = std::max(0, static_cast<int>(std::bit_width(high - low)) - buckets_log2);
    const auto bucket = [&](std::uint64_t key) {
        return (static_cast<std::uint32_t>(key >> 32) - low) >> shift;
    };
    ends_.assign(std::size_t{1} << buckets_log2, 0);
    for (std::size_t i = 0; i < size_; ++i) ++ends_[bucket(keys_[i])];
    std::uint32_t total = 0;
    std::size_t end = size_;
    for (std::uint32_t& count : ends_) {
        const std::uint32_t begin = total;
        total += count;
        if (begin < k && total >= k) end = total;
        count = begin;
    }
    if (sorted_.size() < size_) sorted_.resize(keys_.size());
    for (std::size_t i = 0; i < size_; ++i) sorted_[ends_[bucket(keys_[i])]++] = keys_[i];
    return end;
}

void Ranking::sort_crowded(std::size_t end, const std::int64_t* ids) {
    std::size_t begin = 0;
    for (const std::uint32_t bucket_end : ends_) {
        if (begin >= end) return;
        if (bucket_end - begin > kCrowd) {
            std::sort(sorted_.data() + begin, sorted_.data() + bucket_end, Before{ids});
        }
        begin = bucket_end;
    }
}

std::span<const std::uint32_t> Ranking::best(std::size_t k, const std::int64_t* ids) {
    if (size_ == 0) return {};
    const std::size_t end = spread(k);
    sort_crowded(end, ids);
    insertion_sort(sorted_.data(), end, Before{ids});
    if (order_.size() < end) order_.resize(keys_.size());
    const std::size_t n = std::min(k, size_);
    for (std::size_t i = 0; i < n; ++i) order_[i] = static_cast<std::uint32_t>(sorted_[i]);
    return {order_.data(), n};
}

}  // namespace vecrecall::merging
