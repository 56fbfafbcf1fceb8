#include "search/list_chooser.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/scoring.hpp"
#include "platform/canceling.hpp"
#include "platform/scratch.hpp"
#include "search/block_scanner.hpp"
#include "search/candidates.hpp"

namespace vecrecall::search {
namespace {

// So many queries at a time keep the buffers near.
constexpr std::size_t kTileQueries = 32;

// From this share of the lists on, scoring all is as fast as selecting.
constexpr std::size_t kMostShare = 4;

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

struct Ranked {
    double score;
    std::uint32_t list;

    bool before(const Ranked& other) const {
        return score != other.score ? score > other.score : list < other.list;
    }
};

// The best of the lists named, in order.
std::vector<std::uint32_t> rank(const kernels::KernelTable& table, const Lists& lists,
                                const Query& query, const std::vector<std::uint32_t>& named,
                                std::size_t p) {
    std::vector<double> scores(named.size());
    exact_scores(table, lists.as_items().base().scored(), query.wide, query.length, named.data(),
                 named.size(), scores.data());
    std::vector<Ranked> ranked(named.size());
    for (std::size_t i = 0; i < named.size(); ++i) {
        // A center without a direction is as the scan sees it: neither near nor far.
        const double score = std::isfinite(scores[i]) ? scores[i] : 0.0;
        ranked[i] = {score + lists.spread(named[i]), named[i]};
    }
    const auto before = [](const Ranked& a, const Ranked& b) { return a.before(b); };
    const std::size_t kept = std::min(p, ranked.size());
    const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(kept);
    if (end != ranked.end()) std::nth_element(ranked.begin(), end, ranked.end(), before);
    std::sort(ranked.begin(), end, before);
    std::vector<std::uint32_t> best(kept);
    for (std::size_t i = 0; i < kept; ++i) best[i] = ranked[i].list;
    return best;
}

// A pass over the centers that leaves those which may be among the p best.
class CenterScan {
  public:
    CenterScan(const SearchContext& context, std::size_t first, std::size_t n)
        : context_(context),
          n_(n),
          room_(whole_words(context.items.rows())),
          hits_(checked_product(n, room_)),
          intervals_(checked_product(n, room_)),
          step_(n) {
        const std::size_t longest = longest_step_f32(context.items.dim());
        scanner_ = context.codes ? make_int8_scanner(context, first, n)
                                 : make_float32_scanner(context, first, n, longest);
        longest_step_ = context.codes ? kBlockItems : longest;
        const std::size_t limit = std::max<std::size_t>(2 * context.options.k, 64);
        for (std::size_t q = 0; q < n; ++q) {
            candidates_.emplace_back(context.table, hits_.data() + q * room_,
                                     intervals_.data() + q * room_, context.options.k, limit, room_,
                                     context.first_threshold);
        }
    }

    void run() {
        std::size_t step_items = kFirstStep;
        for (std::size_t b = 0; b < context_.items.blocks(); ++b) {
            const Block& block = context_.items.block(b);
            scanner_->enter_block(block);
            const std::size_t end = block.first_row + block.size;
            for (std::size_t first = block.first_row; first < end;) {
                const std::size_t n = std::min({step_items, longest_step_, end - first});
                scan_step(first, n);
                first += n;
                step_items *= 2;
            }
        }
    }

    std::vector<std::uint32_t> left(std::size_t q) {
        candidates_[q].tighten(scratch_);
        std::vector<std::uint32_t> rows(candidates_[q].size());
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = candidates_[q].row(i);
        return rows;
    }

    const Candidates& candidates(std::size_t q) const { return candidates_[q]; }

  private:
    void scan_step(std::size_t first, std::size_t n) {
        for (std::size_t q = 0; q < n_; ++q) {
            step_.thresholds[q] = candidates_[q].threshold();
            step_.live[q] = context_.items.live().data() + first / kernels::kWordItems;
            step_.hits[q] = candidates_[q].list();
        }
        scanner_->scan(first, n, step_);
        for (std::size_t q = 0; q < n_; ++q) {
            Candidates& candidates = candidates_[q];
            const std::uint32_t count = step_.hits[q].count;
            if (count == candidates.size()) continue;
            candidates.append(count, scanner_->score_bound(q));
            if (candidates.crowded()) candidates.tighten(scratch_);
        }
    }

    const SearchContext& context_;
    std::size_t n_;
    std::size_t room_;
    Scratch<kernels::Hit> hits_;
    Scratch<Interval> intervals_;
    Step step_;
    std::unique_ptr<BlockScanner> scanner_;
    std::size_t longest_step_;
    std::vector<Candidates> candidates_;
    std::vector<float> scratch_;
};

// Calls visit(first of a tile, its queries as the centers see them), tile by tile.
template <class Visit>
void for_tiles(const kernels::KernelTable& table, const Lists& lists, const QueryBatch& queries,
               std::size_t first, std::size_t n, Visit visit) {
    for (std::size_t q0 = 0; q0 < n; q0 += kTileQueries) {
        check_cancelled();
        const std::size_t tile = std::min(kTileQueries, n - q0);
        visit(q0, queries.seen_from(table, lists.as_items(), first + q0, tile));
    }
}

// Calls visit(query, as the centers see it, scan, query in the scan) for every query, once the
// centers are scanned for it.
template <class Visit>
void scan_centers(const kernels::KernelTable& table, const Lists& lists, const QueryBatch& queries,
                  std::size_t first, std::size_t n, std::size_t p, Visit visit) {
    const Items& centers = lists.as_items();
    const SearchOptions options{.k = p};
    for_tiles(table, lists, queries, first, n, [&](std::size_t q0, const QueryBatch& seen) {
        const SearchContext context{.table = table,
                                    .items = centers,
                                    .queries = seen,
                                    .options = options,
                                    .allow = nullptr,
                                    .codes = centers.has_codes(),
                                    .first_threshold = -std::numeric_limits<float>::infinity()};
        CenterScan scan(context, 0, seen.size());
        scan.run();
        for (std::size_t q = 0; q < seen.size(); ++q) visit(q0 + q, seen[q], scan, q);
    });
}

}  // namespace

std::vector<std::vector<std::uint32_t>> choose_lists(const kernels::KernelTable& table,
                                                     const Lists& lists, const QueryBatch& queries,
                                                     std::size_t first, std::size_t n,
                                                     std::size_t p) {
    std::vector<std::vector<std::uint32_t>> chosen(n);
    if (p >= lists.size() / kMostShare) {
        std::vector<std::uint32_t> all(lists.size());
        std::iota(all.begin(), all.end(), 0U);
        for_tiles(table, lists, queries, first, n, [&](std::size_t q0, const QueryBatch& seen) {
            for (std::size_t q = 0; q < seen.size(); ++q) {
                check_cancelled();
                chosen[q0 + q] = rank(table, lists, seen[q], all, p);
            }
        });
        return chosen;
    }
    scan_centers(table, lists, queries, first, n, p,
                 [&](std::size_t q, const Query& seen, CenterScan& scan, std::size_t in_tile) {
                     chosen[q] = rank(table, lists, seen, scan.left(in_tile), p);
                 });
    return chosen;
}

void bound_centers(const kernels::KernelTable& table, const Lists& lists, const QueryBatch& queries,
                   std::size_t first, std::size_t n, float* highest) {
    scan_centers(table, lists, queries, first, n, lists.size(),
                 [&](std::size_t q, const Query&, CenterScan& scan, std::size_t in_tile) {
                     const Candidates& all = scan.candidates(in_tile);
                     float* to = highest + q * lists.size();
                     for (std::size_t i = 0; i < all.size(); ++i) {
                         to[all.row(i)] = all.interval(i).highest;
                     }
                 });
}

}  // namespace vecrecall::search
