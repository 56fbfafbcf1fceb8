// Ranking of decayed scores, which may be too small for float32.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fusion/output.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::feed {

// A score that tells apart what differs by 1e-12 of itself, and not what rounding makes differ.
inline double distinct(double score) {
    constexpr std::uint64_t kStep = std::uint64_t{1} << 11;  // 2^-41 of a float64
    const auto bits = std::bit_cast<std::uint64_t>(score) + kStep / 2;
    return std::bit_cast<double>(bits - bits % kStep);
}

// Float32 underflows.
inline bool vanishes(double score) { return score < std::numeric_limits<float>::min(); }

// A weight may be larger than float32 holds; the score is finite.
inline float narrowed(double score) {
    return static_cast<float>(std::min<double>(score, std::numeric_limits<float>::max()));
}

// By score in float64, then id; but where float32 has underflowed, by `strength`, a number that
// still tells scores apart, before the id: an idle cluster keeps its order.
template <class Strength>
class DecayedLists {
  public:
    std::vector<std::int64_t> ids;
    std::vector<double> scores;
    std::vector<Strength> strengths;

    void resize(std::size_t n) {
        ids.resize(n);
        scores.resize(n);
        strengths.resize(n);
    }

    // Into a row of `out`, the entries that are wanted.
    template <class Wanted>
    void write(const Wanted& wanted, std::size_t row, const ListsOut& out) {
        order_.clear();
        distinct_.resize(scores.size());
        for (std::uint32_t e = 0; e < scores.size(); ++e) {
            distinct_[e] = distinct(scores[e]);
            if (wanted(e)) order_.push_back(e);
        }
        const auto before = [this](std::uint32_t a, std::uint32_t b) { return is_before(a, b); };
        if (order_.size() > out.width) {
            const auto end = order_.begin() + static_cast<std::ptrdiff_t>(out.width);
            canceling::nth_element(order_.begin(), end, order_.end(), before);
            order_.resize(out.width);
        }
        canceling::sort(order_.begin(), order_.end(), before);
        fusion::write_list(
            order_, ids.data(), [&](std::size_t i) { return narrowed(scores[order_[i]]); }, row,
            out);
    }

  private:
    bool is_before(std::uint32_t a, std::uint32_t b) const {
        if (distinct_[a] != distinct_[b]) return distinct_[a] > distinct_[b];
        if (vanishes(scores[a]) && strengths[a] != strengths[b]) {
            return strengths[a] > strengths[b];
        }
        return ids[a] < ids[b];
    }

    std::vector<double> distinct_;
    std::vector<std::uint32_t> order_;
};

}  // namespace vecrecall::feed
