#include "scan/finish.hpp"

#include <algorithm>

#include "scan/selection.hpp"

namespace vecrecall::scan {

void write_best(const Job& job, std::size_t q, std::vector<Scored>& scored, const ListsOut& out) {
    std::erase_if(scored, [&](const Scored& s) { return s.score < job.first_threshold; });
    const std::size_t k = std::min(job.options.k, scored.size());
    const auto better = [](const Scored& x, const Scored& y) { return x.before(y); };
    const auto end = scored.begin() + static_cast<std::ptrdiff_t>(k);
    if (k < scored.size()) std::nth_element(scored.begin(), end, scored.end(), better);
    std::sort(scored.begin(), end, better);
    const std::size_t place = job.queries[q].place;
    for (std::size_t i = 0; i < k; ++i) {
        out.ids[place * out.width + i] = scored[i].id;
        out.scores[place * out.width + i] = scored[i].score;
    }
    out.counts[place] = static_cast<std::int32_t>(k);
}

void Finisher::add(const Candidates& candidates, float threshold) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const Interval interval = candidates.interval(i);
        if (interval.highest < threshold) continue;
        rows_.push_back(candidates.row(i));
        intervals_.push_back(interval);
        exact_.push_back(i < candidates.exact());
    }
    rescored_ += candidates.rescored();
}

void Finisher::write(const ListsOut& out) {
    drop_below_kth();
    score();
    write_best(job_, q_, scored_, out);
}

void Finisher::drop_below_kth() {
    if (rows_.size() <= job_.options.k) return;
    std::vector<float> lowest(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) lowest[i] = intervals_[i].lowest;
    const float floor = reached_by(lowest.data(), lowest.size(), job_.options.k);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (intervals_[i].highest < floor) continue;
        rows_[kept] = rows_[i];
        intervals_[kept] = intervals_[i];
        exact_[kept] = exact_[i];
        ++kept;
    }
    rows_.resize(kept);
}

void Finisher::score() {
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (exact_[i]) scored_.push_back({intervals_[i].lowest, job_.items.ids().id(rows_[i])});
        else rows.push_back(rows_[i]);
    }
    std::vector<float> scores(rows.size());
    job_.score(q_, rows.data(), rows.size(), scores.data());
    rescored_ += rows.size();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        scored_.push_back({scores[i], job_.items.ids().id(rows[i])});
    }
}

}  // namespace vecrecall::scan
