#include "vecrecall/candidates.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "core/hashing.hpp"
#include "fusion/output.hpp"
#include "fusion/parallel_rows.hpp"
#include "fusion/ranking.hpp"
#include "fusion/rounding.hpp"
#include "platform/canceling.hpp"

namespace vecrecall {
namespace {

// The admitted candidates of a row, and what it takes to rank them.
class Row {
  public:
    void start(std::size_t most) {
        if (ids_.size() < most) {
            ids_.resize(most);
            scores_.resize(most);
        }
        size_ = 0;
        ordered_ = true;
    }

    void add(std::int64_t id, float score) {
        if (size_ > 0) ordered_ &= before(scores_[size_ - 1], ids_[size_ - 1], score, id);
        ids_[size_] = id;
        scores_[size_] = score;
        ++size_;
    }

    // Libraries mostly return lists in order: then there is nothing to rank.
    void write(std::size_t row, const ListsOut& out) {
        const auto order = ordered_ ? first(std::min(size_, out.width))
                                    : ranking_.best(scores_.data(), size_, out.width, ids_.data());
        fusion::write_list(
            order, ids_.data(), [&](std::size_t i) { return scores_[order[i]]; }, row, out);
    }

  private:
    static bool before(float score, std::int64_t id, float next_score, std::int64_t next_id) {
        return score > next_score || (score == next_score && id < next_id);
    }

    std::span<const std::uint32_t> first(std::size_t n) {
        while (places_.size() < n) places_.push_back(static_cast<std::uint32_t>(places_.size()));
        return {places_.data(), n};
    }

    bool ordered_ = true;
    std::size_t size_ = 0;
    std::vector<std::int64_t> ids_;
    std::vector<float> scores_;
    std::vector<std::uint32_t> places_;  // 0, 1, 2, ...
    fusion::Ranking ranking_;
};

IdSet excluded(const CandidateFilters& filters, std::size_t row) {
    if (filters.exclude.values == nullptr) return {};
    return {filters.exclude.begin(row), filters.exclude.end(row)};
}

const IdFilter* allowed(const CandidateFilters& filters, std::size_t row) {
    if (filters.allow.empty()) return nullptr;
    return &filters.allow[filters.allow.size() == 1 ? 0 : row];
}

}  // namespace

bool IdFilter::admits(std::int64_t id) const {
    return std::binary_search(ids, ids + size, id) != complement;
}

void rank_candidates(const CandidatesView& candidates, const CandidateFilters& filters,
                     const ListsOut& out, int threads) {
    const std::size_t width = candidates.width;
    const auto rank_row = [&](Row& best, std::size_t row) {
        const IdSet excluded_ids = excluded(filters, row);
        const IdFilter* const allow = allowed(filters, row);
        best.start(width);
        for (std::size_t i = 0; i < width; ++i) {
            canceling::check_each(i);
            const std::size_t at = row * width + i;
            const std::int64_t id = candidates.ids[at];
            if (id < 0 || excluded_ids.contains(id) || (allow && !allow->admits(id))) continue;
            best.add(id, fusion::rounded(double{candidates.scores[at]}));
        }
        best.write(row, out);
    };
    fusion::parallel_rows(out.rows, threads, [] { return Row(); }, rank_row);
}

}  // namespace vecrecall
