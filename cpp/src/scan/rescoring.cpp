#include "scan/rescoring.hpp"

#include <algorithm>

#include "cancelling.hpp"

namespace vecrecall::scan {
namespace {

// Of the candidates that are not exact yet, those that `wanted` picks.
template <class Wanted>
std::size_t score_where(const std::uint32_t* rows, Interval* intervals, std::size_t n,
                        const Rescore& rescore, Wanted wanted) {
    std::vector<std::uint32_t> places;
    std::vector<std::uint32_t> picked;
    for (std::size_t i = 0; i < n; ++i) {
        if (intervals[i].exact() || !wanted(intervals[i])) continue;
        places.push_back(static_cast<std::uint32_t>(i));
        picked.push_back(rows[i]);
    }
    std::vector<float> scores(picked.size());
    rescore(picked.data(), picked.size(), scores.data());
    for (std::size_t i = 0; i < picked.size(); ++i) intervals[places[i]] = {scores[i], scores[i]};
    return picked.size();
}

}  // namespace

// The k most promising first: the k-th best of their scores rules out most of the others.
std::size_t score_best(const kernels::KernelTable& table, const std::uint32_t* rows,
                       Interval* intervals, std::size_t n, std::size_t k, const Rescore& rescore) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = intervals[i].middle();
    const float promising = table.reached_by(values.data(), n, k);
    const std::size_t scored = score_where(
        rows, intervals, n, rescore, [&](const Interval& x) { return !(x.middle() < promising); });
    for (std::size_t i = 0; i < n; ++i) values[i] = intervals[i].lowest;
    const float floor = table.reached_by(values.data(), n, k);
    return scored + score_where(rows, intervals, n, rescore,
                                [&](const Interval& x) { return !(x.highest < floor); });
}

void keep_best(std::vector<Scored>& scored, std::size_t k) {
    if (k >= scored.size()) return;
    cancelling::nth_element(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(k),
                            scored.end(),
                            [](const Scored& a, const Scored& b) { return a.before(b); });
    scored.resize(k);
}

}  // namespace vecrecall::scan
