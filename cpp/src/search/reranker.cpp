#include "search/reranker.hpp"

#include <algorithm>

#include "platform/canceling.hpp"

namespace vecrecall::search {

void write_best(const SearchContext& context, std::size_t q, std::vector<Scored>& scored,
                const ListsOut& out) {
    std::erase_if(scored, [&](const Scored& s) { return s.score < context.first_threshold; });
    keep_best(scored, context.options.k);
    canceling::sort(scored.begin(), scored.end(),
                    [](const Scored& x, const Scored& y) { return x.before(y); });
    const std::size_t place = context.queries[q].place;
    for (std::size_t i = 0; i < scored.size(); ++i) {
        out.ids[place * out.width + i] = scored[i].id;
        out.scores[place * out.width + i] = scored[i].score;
    }
    out.counts[place] = static_cast<std::int32_t>(scored.size());
}

void Reranker::add(const Candidates& candidates, float threshold) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (candidates.interval(i).highest < threshold) continue;
        rows_.push_back(candidates.row(i));
        intervals_.push_back(candidates.interval(i));
    }
    reranked_ += candidates.reranked();
}

void Reranker::write(const ListsOut& out) {
    reranked_ += score_best(context_.table, rows_.data(), intervals_.data(), rows_.size(),
                            context_.options.k,
                            [&](const std::uint32_t* rows, std::size_t n, float* scores) {
                                context_.score(q_, rows, n, scores);
                            });
    // Little more than k are looked at further: their ids may lie anywhere.
    std::vector<float> values(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) values[i] = intervals_[i].lowest;
    const float floor =
        context_.table.kth_largest_bound(values.data(), values.size(), context_.options.k);
    std::vector<std::uint32_t> places(rows_.size() + kernels::kReachingRoom);
    const std::size_t reaching =
        context_.table.indices_at_least(values.data(), values.size(), floor, places.data());
    std::vector<Scored> scored;
    scored.reserve(reaching);
    for (std::size_t i = 0; i < reaching; ++i) {
        const Interval& interval = intervals_[places[i]];
        if (!interval.exact()) continue;
        scored.push_back({interval.lowest, context_.items.id(rows_[places[i]])});
    }
    write_best(context_, q_, scored, out);
}

bool Reranker::proves(float threshold, const ListsOut& out) const {
    if (threshold == context_.first_threshold) return true;
    const std::size_t place = context_.queries[q_].place;
    return static_cast<std::size_t>(out.counts[place]) == context_.options.k &&
           out.scores[place * out.width + context_.options.k - 1] >= threshold;
}

}  // namespace vecrecall::search
