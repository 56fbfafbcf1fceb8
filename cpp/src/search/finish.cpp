#include "search/finish.hpp"

#include <algorithm>

#include "platform/cancelling.hpp"

namespace vecrecall::scan {

void write_best(const Job& job, std::size_t q, std::vector<Scored>& scored, const ListsOut& out) {
    std::erase_if(scored, [&](const Scored& s) { return s.score < job.first_threshold; });
    keep_best(scored, job.options.k);
    cancelling::sort(scored.begin(), scored.end(),
                     [](const Scored& x, const Scored& y) { return x.before(y); });
    const std::size_t place = job.queries[q].place;
    for (std::size_t i = 0; i < scored.size(); ++i) {
        out.ids[place * out.width + i] = scored[i].id;
        out.scores[place * out.width + i] = scored[i].score;
    }
    out.counts[place] = static_cast<std::int32_t>(scored.size());
}

void Finisher::add(const Candidates& candidates, float threshold) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (candidates.interval(i).highest < threshold) continue;
        rows_.push_back(candidates.row(i));
        intervals_.push_back(candidates.interval(i));
    }
    rescored_ += candidates.rescored();
}

void Finisher::write(const ListsOut& out) {
    rescored_ +=
        score_best(job_.table, rows_.data(), intervals_.data(), rows_.size(), job_.options.k,
                   [&](const std::uint32_t* rows, std::size_t n, float* scores) {
                       job_.score(q_, rows, n, scores);
                   });
    // Little more than k are looked at further: their ids may lie anywhere.
    std::vector<float> values(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) values[i] = intervals_[i].lowest;
    const float floor = job_.table.reached_by(values.data(), values.size(), job_.options.k);
    std::vector<Scored> scored;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (!intervals_[i].exact() || intervals_[i].lowest < floor) continue;
        scored.push_back({intervals_[i].lowest, job_.items.id(rows_[i])});
    }
    write_best(job_, q_, scored, out);
}

bool Finisher::proves(float threshold, const ListsOut& out) const {
    if (threshold == job_.first_threshold) return true;
    const std::size_t place = job_.queries[q_].place;
    return static_cast<std::size_t>(out.counts[place]) == job_.options.k &&
           out.scores[place * out.width + job_.options.k - 1] >= threshold;
}

}  // namespace vecrecall::scan
