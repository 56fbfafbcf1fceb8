#include "fusion/ranking.hpp"

#include <algorithm>
#include <bit>

#include "platform/canceling.hpp"

namespace vecrecall::fusion {
namespace {

constexpr std::size_t kCrowd = 32;  // more in a bucket than insertion is good for

// Ascending as an integer where the score descends.
std::uint32_t descending(float score) {
    const auto bits = std::bit_cast<std::uint32_t>(score);
    return (bits >> 31) != 0 ? bits : bits ^ 0x7FFFFFFFU;
}

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

// Makes keys of the k best entries and of some more, or of all where that is hardly less. Returns
// of how many.
std::size_t Ranking::choose(const float* scores, std::size_t n, std::size_t k) {
    const auto key = [&](std::size_t e) { return std::uint64_t{descending(scores[e])} << 32 | e; };
    std::uint32_t* const order = at_least(order_, n + kernels::kReachingRoom);
    if (n < 2 * k) {
        std::uint64_t* const keys = at_least(keys_, n);
        for (std::size_t e = 0; e < n; ++e) keys[e] = key(e);
        return n;
    }
    const float floor = kernels_.kth_largest_bound(scores, n, k);
    const std::size_t size = kernels_.indices_at_least(scores, n, floor, order);
    std::uint64_t* const keys = at_least(keys_, size);
    for (std::size_t i = 0; i < size; ++i) keys[i] = key(order[i]);
    return size;
}

// Distributes the keys over buckets of equal width, one to two for each key, as far as the k-th.
// Returns where its bucket ends.
std::size_t Ranking::spread(std::size_t n, std::size_t k) {
    std::uint32_t low = UINT32_MAX;
    std::uint32_t high = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto key = static_cast<std::uint32_t>(keys_[i] >> 32);
        low = std::min(low, key);
        high = std::max(high, key);
    }
    const int bits = static_cast<int>(std::bit_width(n));
    const int shift = std::max(0, static_cast<int>(std::bit_width(high - low)) - bits);
    const auto bucket = [&](std::uint64_t key) {
        return (static_cast<std::uint32_t>(key >> 32) - low) >> shift;
    };
    ends_.assign(std::size_t{1} << bits, 0);
    for (std::size_t i = 0; i < n; ++i) ++ends_[bucket(keys_[i])];
    std::uint32_t end = 0;
    std::uint32_t used = 0;  // buckets
    for (; end < k; ++used) {
        const std::uint32_t begin = end;
        end += ends_[used];
        ends_[used] = begin;
    }
    ends_.resize(used);
    const std::uint64_t limit = low + (std::uint64_t{used} << shift);  // may be beyond 32 bits
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t key = keys_[i];
        keys_[kept] = key;
        kept += key >> 32 < limit ? 1 : 0;
    }
    std::uint64_t* const to = at_least(spread_, kept);
    for (std::size_t i = 0; i < kept; ++i) to[ends_[bucket(keys_[i])]++] = keys_[i];
    return kept;
}

void Ranking::sort_crowded(const std::int64_t* ids) {
    std::size_t begin = 0;
    for (const std::uint32_t bucket_end : ends_) {
        if (bucket_end - begin > kCrowd) {
            canceling::sort(spread_.data() + begin, spread_.data() + bucket_end, Before{ids});
        }
        begin = bucket_end;
    }
}

std::span<const std::uint32_t> Ranking::best(const float* scores, std::size_t n, std::size_t k,
                                             const std::int64_t* ids) {
    if (n == 0) return {};
    k = std::min(k, n);
    const std::size_t chosen = choose(scores, n, k);
    canceling::check_after(n);
    const std::size_t end = spread(chosen, k);
    canceling::check_after(n);
    sort_crowded(ids);
    insertion_sort(spread_.data(), end, Before{ids});
    for (std::size_t i = 0; i < k; ++i) order_[i] = static_cast<std::uint32_t>(spread_[i]);
    return {order_.data(), k};
}

}  // namespace vecrecall::fusion
