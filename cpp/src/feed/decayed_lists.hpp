// Ranking of decayed scores, which may be too small for float32.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "merge/output.hpp"
#include "merge/ranking.hpp"

namespace vecrecall::feed {

// By score, then id; but where float32 has underflowed, by `strength`, a number that still tells
// scores apart, before the id: an idle cluster keeps its order.
template <class Strength>
class DecayedLists {
  public:
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<Strength> strengths;

    void resize(std::size_t n) {
        ids.resize(n);
        scores.resize(n);
        strengths.resize(n);
    }

    // Into a row of `out`, the entries that are wanted.
    template <class Wanted>
    void write(const Wanted& wanted, std::size_t row, const ListsOut& out) {
        constexpr float kNormal = std::numeric_limits<float>::min();
        const auto ranked =
            ranking_.best(scores.data(), scores.size(), out.width, ids.data(),
                          [&](std::size_t e) { return scores[e] >= kNormal && wanted(e); });
        order_.assign(ranked.begin(), ranked.end());
        if (order_.size() < out.width) {
            append_underflowed([&](std::size_t e) { return scores[e] < kNormal && wanted(e); },
                               out.width);
        }
        merging::write_list(
            order_, ids.data(), [&](std::size_t i) { return scores[order_[i]]; }, row, out);
    }

  private:
    template <class Wanted>
    void append_underflowed(const Wanted& wanted, std::size_t k) {
        const std::size_t begin = order_.size();
        for (std::uint32_t e = 0; e < scores.size(); ++e) {
            if (wanted(e)) order_.push_back(e);
        }
        const auto before = [this](std::uint32_t a, std::uint32_t b) {
            if (scores[a] != scores[b]) return scores[a] > scores[b];
            if (strengths[a] != strengths[b]) return strengths[a] > strengths[b];
            return ids[a] < ids[b];
        };
        const std::size_t end = std::min(k, order_.size());
        std::partial_sort(order_.begin() + begin, order_.begin() + end, order_.end(), before);
        order_.resize(end);
    }

    merging::Ranking ranking_;
    std::vector<std::uint32_t> order_;
};

}  // namespace vecrecall::feed
