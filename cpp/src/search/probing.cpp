#include "search/probing.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <numeric>

#include "platform/canceling.hpp"
#include "search/exhaustive.hpp"
#include "search/list_bounds.hpp"
#include "search/list_chooser.hpp"
#include "search/probe_scanner.hpp"
#include "search/reranker.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Queries that are scanned together; more are no faster.
constexpr std::size_t kMostQueries = 256;

// The items that one query looks at.
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
    std::size_t n_excluded(std::size_t q) const { return context_.queries[q].excluded.size(); }

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
        std::vector<std::uint32_t> named = lists;
        std::sort(named.begin(), named.end());
        std::vector<std::uint32_t> rows;
        for (const std::uint32_t row : context_.queries[q].excluded) {
            if ((context_.live(q)[row / 64] >> (row % 64) & 1) == 0) continue;
            const std::int64_t list = items.list_of(row);
            if (list < 0 ||
                std::binary_search(named.begin(), named.end(), static_cast<std::uint32_t>(list))) {
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

// For each list the queries that look at it, in order.
class ByList {
  public:
    // `for_pairs` calls what it is given with a list and a query, twice the same.
    template <class ForPairs>
    ByList(std::size_t lists, ForPairs for_pairs) : starts_(lists + 1, 0) {
        for_pairs([&](std::size_t list, std::uint32_t) { ++starts_[list + 1]; });
        std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
        queries_.resize(starts_.back());
        std::vector<std::uint32_t> next(starts_.begin(), starts_.end() - 1);
        for_pairs([&](std::size_t list, std::uint32_t q) { queries_[next[list]++] = q; });
        for (std::uint32_t list = 0; list < lists; ++list) {
            if (starts_[list] < starts_[list + 1]) visited_.push_back(list);
        }
    }

    // Scans the lists one after the other.
    void scan(const Items& items, ProbeScanner& scanner) const {
        const Lists& lists = *items.lists();
        std::vector<std::uint32_t> group;
        for (std::size_t i = 0; i < visited_.size(); ++i) {
            const std::uint32_t list = visited_[i];
            const bool more = i + 1 < visited_.size();
            group.assign(queries_.begin() + starts_[list], queries_.begin() + starts_[list + 1]);
            for (std::size_t b = lists.first_block(list); b < lists.end_block(list); ++b) {
                const std::size_t next = b + 1 < lists.end_block(list) ? b + 1
                                         : more ? lists.first_block(visited_[i + 1])
                                                : b;
                scanner.scan(items.block(b), group, &items.block(next));
            }
        }
    }

  private:
    std::vector<std::uint32_t> starts_;
    std::vector<std::uint32_t> queries_;
    std::vector<std::uint32_t> visited_;  // lists with queries
};

// Items that are in no list, which every query looks at.
void scan_loose(const Items& items, const std::vector<std::uint32_t>& queries,
                ProbeScanner& scanner) {
    if (queries.empty()) return;
    for (std::size_t b = items.base().blocks(); b < items.blocks(); ++b) {
        scanner.scan(items.block(b), queries, nullptr);
    }
}

std::uint64_t write_list(const SearchContext& context, const ProbeScanner& scanner,
                         std::size_t first, std::size_t q, const ListsOut& out) {
    Reranker reranker(context, first + q);
    reranker.add(scanner.candidates(q), scanner.threshold(q));
    reranker.write(out);
    return reranker.reranked();
}

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
        std::vector<std::uint32_t> scanning;
        for (std::size_t q = 0; q < probed_.size(); ++q) {
            if (!probed_[q].everything) scanning.push_back(static_cast<std::uint32_t>(q));
        }
        scan_loose(context_.items, scanning, scanner_);
        for (std::size_t q = 0; q < probed_.size(); ++q) finish(q, out);
        stats_.items_scanned = scanner_.items_scanned();
        return stats_;
    }

  private:
    void choose() {
        const bool by_default = context_.options.probes == kDefaultProbes;
        const std::size_t p = by_default ? context_.items.probes() : context_.options.probes;
        auto chosen =
            choose_lists(context_.table, lists_, context_.queries, first_, probed_.size(), p);
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
        while (probed.lists.size() < lists_.size() && !eligible_.enough(first_ + q, probed.lists)) {
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
        const ByList by_list(lists_.size(), [&](auto visit) {
            for (std::size_t q = 0; q < probed_.size(); ++q) {
                const std::vector<std::uint32_t>& lists = probed_[q].lists;
                for (std::size_t i = from; i < std::min(end, lists.size()); ++i) {
                    visit(lists[i], static_cast<std::uint32_t>(q));
                }
            }
        });
        by_list.scan(context_.items, scanner_);
    }

    void finish(std::size_t q, const ListsOut& out) {
        const Probed& probed = probed_[q];
        stats_.lists_probed += probed.everything ? lists_.size() : probed.lists.size();
        stats_.queries_widened += probed.widened ? 1 : 0;
        if (probed.everything) {
            stats_.rows_reranked += exhaustive(context_, first_ + q, out);
            return;
        }
        stats_.rows_reranked += write_list(context_, scanner_, first_, q, out);
    }

    const SearchContext& context_;
    const Lists& lists_;
    const Eligible& eligible_;
    std::size_t first_;
    std::vector<Probed> probed_;
    ProbeScanner scanner_;
    SearchStats stats_;
};

// The queries of one tile, by one thread, until their answers are proved.
class ProvingRun {
  public:
    ProvingRun(const SearchContext& context, const Limits& limits, const ListBounds& bounds,
               std::size_t first, std::size_t n)
        : context_(context),
          n_lists_(context.items.lists()->size()),
          first_(first),
          n_(n),
          bounds_(bounds.of(context.table, context.queries, first, n)),
          scanner_(context, limits, first, n) {}

    SearchStats run(const ListsOut& out, std::vector<std::size_t>& open) {
        scan_best();
        SearchStats stats;
        std::vector<std::uint32_t> all(n_);
        std::iota(all.begin(), all.end(), 0U);
        scan_loose(context_.items, all, scanner_);
        std::vector<std::uint32_t> going_on;
        for (const std::uint32_t q : all) {
            if (n_within_reach(q) * kMostShare > n_lists_) open.push_back(first_ + q);
            else going_on.push_back(q);
        }
        if (n_ == 1 && !going_on.empty()) scan_in_order();
        else scan_others(going_on);
        for (const std::uint32_t q : going_on) {
            stats.rows_reranked += write_list(context_, scanner_, first_, q, out);
            stats.lists_probed += probed_[q];
        }
        stats.items_scanned = scanner_.items_scanned();
        return stats;
    }

  private:
    // Of the lists; from here on the scan of all items is as fast.
    static constexpr std::size_t kMostShare = 2;

    const float* bounds_of(std::size_t q) const { return bounds_.data() + q * n_lists_; }
    bool within_reach(std::size_t q, std::size_t list) const {
        return !(bounds_of(q)[list] < scanner_.threshold(q));
    }
    std::size_t n_within_reach(std::size_t q) const {
        std::size_t n = 0;
        for (std::size_t list = 0; list < n_lists_; ++list) n += within_reach(q, list) ? 1 : 0;
        return n;
    }

    // The most promising list of each query, which raises its threshold.
    void scan_best() {
        best_.resize(n_);
        probed_.assign(n_, 1);
        for (std::size_t q = 0; q < n_; ++q) {
            const float* bounds = bounds_of(q);
            best_[q] =
                static_cast<std::uint32_t>(std::max_element(bounds, bounds + n_lists_) - bounds);
        }
        const ByList by_list(n_lists_, [&](auto visit) {
            for (std::uint32_t q = 0; q < n_; ++q) visit(best_[q], q);
        });
        by_list.scan(context_.items, scanner_);
    }

    // One query: in the order of the bounds, so that all that follow the first out of reach are.
    void scan_in_order() {
        std::vector<std::uint32_t> lists;
        for (std::uint32_t list = 0; list < n_lists_; ++list) {
            if (list != best_[0] && within_reach(0, list)) lists.push_back(list);
        }
        const float* bounds = bounds_of(0);
        std::sort(lists.begin(), lists.end(), [&](std::uint32_t a, std::uint32_t b) {
            return bounds[a] != bounds[b] ? bounds[a] > bounds[b] : a < b;
        });
        for (const std::uint32_t list : lists) {
            if (!within_reach(0, list)) return;
            scan(list, {0});
        }
    }

    void scan_others(const std::vector<std::uint32_t>& queries) {
        for (std::size_t list = 0; list < n_lists_; ++list) scan(list, queries);
    }

    // For those of the queries that it may have something for.
    void scan(std::size_t list, const std::vector<std::uint32_t>& queries) {
        const Lists& lists = *context_.items.lists();
        group_.clear();
        for (const std::uint32_t q : queries) {
            if (list == best_[q] || !within_reach(q, list)) continue;
            group_.push_back(q);
            ++probed_[q];
        }
        if (group_.empty()) return;
        for (std::size_t b = lists.first_block(list); b < lists.end_block(list); ++b) {
            scanner_.scan(context_.items.block(b), group_, nullptr);
        }
    }

    const SearchContext& context_;
    std::size_t n_lists_;
    std::size_t first_;
    std::size_t n_;
    std::vector<float> bounds_;  // per query and list
    ProbeScanner scanner_;
    std::vector<std::uint32_t> best_;
    std::vector<std::size_t> probed_;
    std::vector<std::uint32_t> group_;
};

// Tiles of a batch, each by one thread.
template <class Run>
SearchStats in_tiles(const SearchContext& context, int threads, Run run) {
    const std::size_t n = context.queries.size();
    const auto t = static_cast<std::size_t>(threads);
    const std::size_t tile = std::clamp<std::size_t>((n + t - 1) / t, 1, kMostQueries);
    std::vector<SearchStats> parts((n + tile - 1) / tile);
    parallel_for(parts.size(), threads,
                 [&](std::size_t i) { parts[i] = run(i * tile, std::min(tile, n - i * tile)); });
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

}  // namespace

SearchStats search_lists(const SearchContext& context, int threads, const ListsOut& out) {
    const Limits limits = limits_for(context);
    const Eligible eligible(context);
    return in_tiles(context, threads, [&](std::size_t first, std::size_t n) {
        return ProbeRun(context, limits, eligible, first, n).run(out);
    });
}

std::vector<std::size_t> search_until_proved(const SearchContext& context, int threads,
                                             const ListsOut& out, SearchStats& stats) {
    const Limits limits = limits_for(context);
    const ListBounds bounds(context.items);
    std::mutex mutex;
    std::vector<std::size_t> open;
    stats = in_tiles(context, threads, [&](std::size_t first, std::size_t n) {
        std::vector<std::size_t> own;
        const SearchStats part = ProvingRun(context, limits, bounds, first, n).run(out, own);
        const std::lock_guard lock(mutex);
        open.insert(open.end(), own.begin(), own.end());
        return part;
    });
    std::sort(open.begin(), open.end());
    return open;
}

}  // namespace vecrecall::search
