#include "search/probing.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <numeric>

#include "platform/canceling.hpp"
#include "search/exhaustive.hpp"
#include "search/list_chooser.hpp"
#include "search/probe_scanner.hpp"
#include "search/reranker.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Queries that are scanned together; more are no faster.
constexpr std::size_t kMostQueries = 256;

// What one query looks at.
struct Probed {
    std::vector<std::uint32_t> lists;  // best first
    bool everything = false;           // what it may get is so little that all of it is scored
    bool widened = false;              // more than the default
};

// Counts the items that a query may get.
class Eligible {
  public:
    explicit Eligible(const SearchContext& context) : context_(context) {
        const Items& items = context.items;
        first_fresh_ = items.base().layout().blocks();
        for (std::size_t b = first_fresh_; b < items.blocks(); ++b) fresh_ += items.block(b).size;
    }

    // Rows that a query looks at.
    std::size_t touched(const std::vector<std::uint32_t>& lists) const {
        std::size_t n = fresh_;
        for (const std::uint32_t list : lists) n += context_.items.lists()->sizes()[list];
        return n;
    }

    // The lists, and the items in none, have as many as the query asks for.
    bool enough(std::size_t q, const std::vector<std::uint32_t>& lists) const {
        const std::size_t k = context_.options.k;
        const std::size_t excluded = n_excluded(q);
        const std::size_t dead = context_.items.rows() - context_.items.size();
        if (!context_.allow && touched(lists) >= k + excluded + dead) return true;
        const std::size_t n = count(q, lists);
        if (n >= k + excluded) return true;
        return n >= k && n - count_excluded(q, lists) >= k;
    }

    // The query may get no more items than it would look at.
    bool few(std::size_t q, const std::vector<std::uint32_t>& lists) const {
        if (!context_.allow) return false;
        const std::size_t most = touched(lists);
        const std::uint64_t* live = context_.live(q);
        std::size_t n = 0;
        for (std::size_t w = 0; w < context_.items.live().size(); ++w) {
            n += static_cast<std::size_t>(std::popcount(live[w]));
            if (n > most) return false;
        }
        return true;
    }

  private:
    std::size_t n_excluded(std::size_t q) const {
        const RaggedView<std::int64_t>& exclude = context_.options.exclude;
        const std::size_t place = context_.queries[q].place;
        return exclude.values ? static_cast<std::size_t>(exclude.end(place) - exclude.begin(place))
                              : 0;
    }

    std::size_t count(std::size_t q, const std::vector<std::uint32_t>& lists) const {
        std::size_t n = 0;
        const auto add = [&](const Block& block) {
            const std::uint64_t* live = context_.live(q) + block.first_row / 64;
            for (std::size_t w = 0; w < whole_words(block.size) / 64; ++w) {
                n += static_cast<std::size_t>(std::popcount(live[w]));
            }
        };
        const Lists& all = *context_.items.lists();
        for (const std::uint32_t list : lists) {
            for (std::size_t b = all.first_block(list); b < all.end_block(list); ++b) {
                add(context_.items.block(b));
            }
        }
        for (std::size_t b = first_fresh_; b < context_.items.blocks(); ++b) {
            add(context_.items.block(b));
        }
        return n;
    }

    // Of those that count() counts.
    std::size_t count_excluded(std::size_t q, const std::vector<std::uint32_t>& lists) const {
        const Items& items = context_.items;
        const RaggedView<std::int64_t>& exclude = context_.options.exclude;
        const std::size_t place = context_.queries[q].place;
        std::vector<std::uint32_t> named = lists;
        std::sort(named.begin(), named.end());
        std::vector<std::int64_t> rows;
        for (const std::int64_t* id = exclude.begin(place); id != exclude.end(place); ++id) {
            const std::int64_t row = items.find(*id);
            if (row < 0) continue;
            const auto at = static_cast<std::size_t>(row);
            if ((context_.live(q)[at / 64] >> (at % 64) & 1) == 0) continue;
            const std::int64_t list = items.list_of(at);
            if (list < 0 || std::binary_search(named.begin(), named.end(),
                                               static_cast<std::uint32_t>(list))) {
                rows.push_back(row);
            }
        }
        std::sort(rows.begin(), rows.end());
        return static_cast<std::size_t>(std::unique(rows.begin(), rows.end()) - rows.begin());
    }

    const SearchContext& context_;
    std::size_t first_fresh_;
    std::size_t fresh_ = 0;
};

// The queries of one tile, by one thread.
class ProbeRun {
  public:
    ProbeRun(const SearchContext& context, const Limits& limits, const Eligible& eligible,
             std::size_t first, std::size_t n)
        : context_(context),
          lists_(*context.items.lists()),
          eligible_(eligible),
          first_(first),
          probed_(n),
          scanner_(context, limits, first, n) {}

    SearchStats run(const ListsOut& out) {
        choose();
        if (probed_.size() == 1) scan_in_order();
        else scan_turned_round();
        scan_fresh();
        for (std::size_t q = 0; q < probed_.size(); ++q) finish(q, out);
        stats_.items_scanned = scanner_.items_scanned();
        return stats_;
    }

  private:
    void choose() {
        const bool by_default = context_.options.probes == kDefaultProbes;
        const std::size_t p =
            by_default ? context_.items.probes() : context_.options.probes;
        auto chosen = choose_lists(context_.table, lists_, context_.queries, first_,
                                   probed_.size(), p);
        for (std::size_t q = 0; q < probed_.size(); ++q) {
            probed_[q].lists = std::move(chosen[q]);
            if (by_default) widen(q);
        }
    }

    void widen(std::size_t q) {
        Probed& probed = probed_[q];
        if (eligible_.few(first_ + q, probed.lists)) {
            probed.everything = true;
            probed.widened = probed.lists.size() < lists_.size();
            probed.lists.clear();
            return;
        }
        while (probed.lists.size() < lists_.size() &&
               !eligible_.enough(first_ + q, probed.lists)) {
            check_cancelled();
            probed.widened = true;
            probed.lists = choose_lists(context_.table, lists_, context_.queries, first_ + q, 1,
                                        2 * probed.lists.size())[0];
        }
    }

    // One query: the best list first, which raises its threshold.
    void scan_in_order() {
        const std::vector<std::uint32_t> one{0};
        std::vector<std::uint32_t> blocks;
        for (const std::uint32_t list : probed_[0].lists) {
            for (std::size_t b = lists_.first_block(list); b < lists_.end_block(list); ++b) {
                blocks.push_back(static_cast<std::uint32_t>(b));
            }
        }
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const Block* next =
                i + 1 < blocks.size() ? &context_.items.block(blocks[i + 1]) : nullptr;
            scanner_.scan(context_.items.block(blocks[i]), one, next);
        }
    }

    // Several: list by list, each with the queries that probe it; first the best lists of all.
    void scan_turned_round() {
        scan_ranks(0, 1);
        scan_ranks(1, lists_.size());
    }

    // The lists that are of these ranks for a query.
    void scan_ranks(std::size_t from, std::size_t end) {
        std::vector<std::uint32_t> starts(lists_.size() + 1, 0);
        const auto for_pairs = [&](auto visit) {
            for (std::size_t q = 0; q < probed_.size(); ++q) {
                const std::vector<std::uint32_t>& lists = probed_[q].lists;
                for (std::size_t i = from; i < std::min(end, lists.size()); ++i) {
                    visit(lists[i], static_cast<std::uint32_t>(q));
                }
            }
        };
        for_pairs([&](std::uint32_t list, std::uint32_t) { ++starts[list + 1]; });
        std::partial_sum(starts.begin(), starts.end(), starts.begin());
        std::vector<std::uint32_t> queries(starts.back());
        std::vector<std::uint32_t> next(starts.begin(), starts.end() - 1);
        for_pairs([&](std::uint32_t list, std::uint32_t q) { queries[next[list]++] = q; });
        std::vector<std::uint32_t> visited;
        for (std::uint32_t list = 0; list < lists_.size(); ++list) {
            if (starts[list] < starts[list + 1]) visited.push_back(list);
        }
        for (std::size_t i = 0; i < visited.size(); ++i) {
            const std::uint32_t list = visited[i];
            const std::size_t then = i + 1 < visited.size() ? visited[i + 1] : list;
            const Block* next_list = &context_.items.block(lists_.first_block(then));
            group_.assign(queries.begin() + starts[list], queries.begin() + starts[list + 1]);
            scan_list(list, next_list);
        }
    }

    void scan_list(std::size_t list, const Block* next) {
        for (std::size_t b = lists_.first_block(list); b < lists_.end_block(list); ++b) {
            const bool last = b + 1 == lists_.end_block(list);
            scanner_.scan(context_.items.block(b), group_,
                          last ? next : &context_.items.block(b + 1));
        }
    }

    // Items that are in no list, which every query looks at.
    void scan_fresh() {
        group_.clear();
        for (std::size_t q = 0; q < probed_.size(); ++q) {
            if (!probed_[q].everything) group_.push_back(static_cast<std::uint32_t>(q));
        }
        if (group_.empty()) return;
        for (std::size_t b = context_.items.base().layout().blocks(); b < context_.items.blocks();
             ++b) {
            scanner_.scan(context_.items.block(b), group_, nullptr);
        }
    }

    void finish(std::size_t q, const ListsOut& out) {
        const Probed& probed = probed_[q];
        stats_.lists_probed += probed.everything ? lists_.size() : probed.lists.size();
        stats_.queries_widened += probed.widened ? 1 : 0;
        if (probed.everything) {
            stats_.rows_reranked += exhaustive(context_, first_ + q, out);
            return;
        }
        Reranker reranker(context_, first_ + q);
        reranker.add(scanner_.candidates(q), scanner_.threshold(q));
        reranker.write(out);
        stats_.rows_reranked += reranker.reranked();
    }

    const SearchContext& context_;
    const Lists& lists_;
    const Eligible& eligible_;
    std::size_t first_;
    std::vector<Probed> probed_;
    ProbeScanner scanner_;
    std::vector<std::uint32_t> group_;
    SearchStats stats_;
};

}  // namespace

SearchStats search_lists(const SearchContext& context, int threads, const ListsOut& out) {
    const Limits limits = limits_for(context);
    const Eligible eligible(context);
    const std::size_t n = context.queries.size();
    const auto t = static_cast<std::size_t>(threads);
    const std::size_t tile = std::clamp<std::size_t>((n + t - 1) / t, 1, kMostQueries);
    std::vector<SearchStats> parts((n + tile - 1) / tile);
    parallel_for(parts.size(), threads, [&](std::size_t i) {
        const std::size_t first = i * tile;
        parts[i] =
            ProbeRun(context, limits, eligible, first, std::min(tile, n - first)).run(out);
    });
    SearchStats all;
    for (const SearchStats& part : parts) {
        all.items_scanned += part.items_scanned;
        all.rows_reranked += part.rows_reranked;
        all.lists_probed += part.lists_probed;
        all.queries_widened += part.queries_widened;
    }
    if (all.items_scanned > 0) all.precision = context.codes ? "int8" : "float32";
    return all;
}

}  // namespace vecrecall::search
