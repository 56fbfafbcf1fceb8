#include "search/rerank.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

// Those of the candidates at these places that are not exact yet.
std::size_t score_at(std::uint32_t* places, std::size_t n, const std::uint32_t* rows,
                     Interval* intervals, const ExactScores& rerank) {
    std::size_t open = 0;
    for (std::size_t i = 0; i < n; ++i) {
        places[open] = places[i];
        open += intervals[places[i]].exact() ? 0 : 1;
    }
    std::vector<std::uint32_t> picked(open);
    std::vector<float> scores(open);
    for (std::size_t i = 0; i < open; ++i) picked[i] = rows[places[i]];
    rerank(picked.data(), open, scores.data());
    for (std::size_t i = 0; i < open; ++i) intervals[places[i]] = {scores[i], scores[i]};
    return open;
}

bool before(const Scored& a, const Scored& b) { return a.before(b); }

// From here on counting digits is faster than comparing.
constexpr std::size_t kManyToSort = 2048;

constexpr int kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

// Ascending where scores descend. No score is -0 or not a number.
std::uint32_t sort_key(float score) {
    std::uint32_t bits;
    std::memcpy(&bits, &score, sizeof(bits));
    return (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFU;
}

// One stable pass over a digit of the keys.
void sort_by_digit(const std::vector<Scored>& from, std::vector<Scored>& to, int shift) {
    const auto digit = [&](const Scored& s) { return sort_key(s.score) >> shift & (kDigits - 1); };
    std::array<std::size_t, kDigits> places{};
    for (const Scored& s : from) ++places[digit(s)];
    std::size_t place = 0;
    for (std::size_t& p : places) place += std::exchange(p, place);
    for (const Scored& s : from) to[places[digit(s)]++] = s;
}

}  // namespace

// The k most promising first: the k-th best of their scores rules out most of the others.
std::size_t score_best(const kernels::KernelTable& table, const std::uint32_t* rows,
                       Interval* intervals, std::size_t n, std::size_t k,
                       const ExactScores& rerank) {
    std::vector<float> values(n);
    std::vector<std::uint32_t> places(n + kernels::kReachingRoom);
    const auto score_reaching = [&](float floor) {
        const std::size_t count = table.indices_at_least(values.data(), n, floor, places.data());
        return score_at(places.data(), count, rows, intervals, rerank);
    };
    for (std::size_t i = 0; i < n; ++i) values[i] = intervals[i].middle();
    const std::size_t promising = score_reaching(table.kth_largest_bound(values.data(), n, k));
    for (std::size_t i = 0; i < n; ++i) values[i] = intervals[i].lowest;
    const float floor = table.kth_largest_bound(values.data(), n, k);
    for (std::size_t i = 0; i < n; ++i) values[i] = intervals[i].highest;
    return promising + score_reaching(floor);
}

void keep_best(std::vector<Scored>& scored, std::size_t k) {
    if (k >= scored.size()) return;
    canceling::nth_element(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(k),
                           scored.end(),
                           [](const Scored& a, const Scored& b) { return a.before(b); });
    scored.resize(k);
}

void sort_best(std::vector<Scored>& scored) {
    if (scored.size() < kManyToSort) {
        std::sort(scored.begin(), scored.end(), before);
        return;
    }
    std::vector<Scored> other(scored.size());
    for (int shift = 0; shift < 32; shift += kDigitBits) {
        sort_by_digit(scored, other, shift);
        scored.swap(other);
    }
    for (auto first = scored.begin(); first != scored.end();) {  // ties
        const auto end = std::find_if(first, scored.end(),
                                      [&](const Scored& s) { return s.score != first->score; });
        if (!std::is_sorted(first, end, before)) std::sort(first, end, before);
        first = end;
    }
}

}  // namespace vecrecall::search
