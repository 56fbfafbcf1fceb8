#include "search/search.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <string_view>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
#include "search/arguments.hpp"
#include "search/exhaustive.hpp"
#include "search/probing.hpp"
#include "search/reranker.hpp"
#include "search/scanner.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Buffers of one thread stay below this, whatever k is.
constexpr std::size_t kBufferBytes = std::size_t{128} << 20;

constexpr std::size_t kMostQueries = 256;

// From here on each thread takes queries of its own; below, the threads share the items.
constexpr std::size_t kQueriesToSplit = 64;

// Which queries go together, and how many threads share each tile's items.
struct Plan {
    std::size_t group_queries;
    std::size_t groups_at_once;
    std::size_t scanners_a_group;
};

Plan plan_for(const Items& items, std::size_t queries, const Limits& limits, int threads) {
    const std::size_t bytes_a_query =
        limits.room * (sizeof(kernels::Hit) + sizeof(Interval)) + sizeof(float) * items.dim();
    const std::size_t most = std::clamp<std::size_t>(kBufferBytes / bytes_a_query, 1, kMostQueries);
    const auto t = static_cast<std::size_t>(threads);
    if (queries >= kQueriesToSplit * t) {
        return {.group_queries = std::min(most, (queries + t - 1) / t),
                .groups_at_once = t,
                .scanners_a_group = 1};
    }
    return {.group_queries = std::min(most, queries), .groups_at_once = 1, .scanners_a_group = t};
}

struct Outcome {
    SearchStats stats;
    Precisions precisions;
    bool gave_up_codes = false;
    std::vector<std::size_t> unproved;  // queries whose thresholds were guessed too high
};

// Some tiles of a plan, scanned and finished together.
class QueryBatchRun {
  public:
    QueryBatchRun(const SearchContext& context, const Limits& limits, const Plan& plan,
                  std::size_t first, std::size_t end, bool guessing, int threads)
        : context_(context),
          limits_(limits),
          plan_(plan),
          threads_(threads),
          first_(first),
          end_(end),
          unproved_(end - first) {
        groups_.resize((end - first + plan.group_queries - 1) / plan.group_queries);
        parallel_for(groups_.size(), threads, [&](std::size_t g) {
            const std::size_t q = first + g * plan.group_queries;
            groups_[g] = std::make_unique<QueryTile>(
                context, q, std::min(plan.group_queries, end - q), plan.scanners_a_group, guessing);
        });
        scanners_.resize(groups_.size() * plan.scanners_a_group);
    }

    void run(const ListsOut& out, Outcome& outcome) {
        parallel_for(scanners_.size(), threads_, [&](std::size_t s) {
            QueryTile& tile = *groups_[s / plan_.scanners_a_group];
            if (tile.finished()) return;  // others were faster
            scanners_[s] = std::make_unique<Scanner>(context_, tile, limits_);
            scanners_[s]->run();
        });
        std::atomic<std::uint64_t> reranked{0};
        parallel_for(end_ - first_, threads_, [&](std::size_t i) { reranked += finish(i, out); });
        outcome.stats.rows_reranked += reranked;
        for (const auto& scanner : scanners_) {
            if (!scanner) continue;
            outcome.stats.items_scanned += scanner->items_scanned();
            outcome.precisions.int8 |= scanner->precisions().int8;
            outcome.precisions.float32 |= scanner->precisions().float32;
            outcome.gave_up_codes |= scanner->gave_up_codes();
        }
        for (std::size_t i = 0; i < unproved_.size(); ++i) {
            if (unproved_[i] != 0) outcome.unproved.push_back(first_ + i);
        }
    }

  private:
    std::uint64_t finish(std::size_t i, const ListsOut& out) {
        const std::size_t g = i / plan_.group_queries;
        const std::size_t q = i % plan_.group_queries;
        const float threshold = groups_[g]->threshold(q);
        Reranker reranker(context_, first_ + i);
        for (std::size_t s = 0; s < plan_.scanners_a_group; ++s) {
            const auto& scanner = scanners_[g * plan_.scanners_a_group + s];
            if (scanner) reranker.add(scanner->candidates(q), threshold);
        }
        reranker.write(out);
        unproved_[i] = reranker.proves(threshold, out) ? 0 : 1;
        return reranker.reranked();
    }

    const SearchContext& context_;
    const Limits& limits_;
    const Plan& plan_;
    int threads_;
    std::size_t first_;
    std::size_t end_;
    std::vector<char> unproved_;  // not bool: threads write neighbors
    std::vector<std::unique_ptr<QueryTile>> groups_;
    std::vector<std::unique_ptr<Scanner>> scanners_;
};

void write_padding(const ListsOut& out) {
    const std::size_t n = checked_product(out.rows, out.width);
    canceling::fill(out.ids, n, std::int64_t{-1});
    canceling::fill(out.scores, n, -std::numeric_limits<float>::infinity());
    canceling::fill(out.counts, out.rows, 0);
}

const char* name_of(const Precisions& precisions) {
    if (precisions.int8) return precisions.float32 ? "int8 and float32" : "int8";
    return precisions.float32 ? "float32" : "none";
}

// A guess pays where the scan is so fast that hits count, and needs items in no order of ours.
bool worth_guessing(const SearchContext& context) {
    constexpr std::size_t kFewestBlocks = 64;
    constexpr std::size_t kFewestQueries = 8;
    return context.codes && context.queries.size() >= kFewestQueries &&
           context.items.blocks() >= kFewestBlocks && !context.items.ordered();
}

void run_batches(const SearchContext& context, int threads, bool guessing, const ListsOut& out,
                 Outcome& outcome) {
    const Limits limits = limits_for(context);
    const Plan plan = plan_for(context.items, context.queries.size(), limits, threads);
    const std::size_t at_once = plan.group_queries * plan.groups_at_once;
    for (std::size_t q = 0; q < context.queries.size(); q += at_once) {
        const std::size_t end = std::min(context.queries.size(), q + at_once);
        QueryBatchRun(context, limits, plan, q, end, guessing, threads).run(out, outcome);
    }
}

SearchContext with_queries(const SearchContext& context, const QueryBatch& queries, bool codes) {
    return {.table = context.table,
            .items = context.items,
            .queries = queries,
            .options = context.options,
            .allow = context.allow,
            .codes = codes,
            .first_threshold = context.first_threshold};
}

SearchStats scan_all(const SearchContext& context, int threads, const ListsOut& out) {
    Outcome outcome;
    run_batches(context, threads, worth_guessing(context), out, outcome);
    if (!outcome.unproved.empty()) {
        const QueryBatch queries = context.queries.select(outcome.unproved);
        const SearchContext again =
            with_queries(context, queries, context.codes && !outcome.gave_up_codes);
        run_batches(again, threads, false, out, outcome);  // which proves every threshold
    }
    outcome.stats.precision = name_of(outcome.precisions);
    return outcome.stats;
}

// Not all of the lists.
bool probes_some(const SearchContext& context) {
    const Lists* lists = context.items.lists();
    if (!lists) return false;
    const std::size_t probes = context.options.probes;
    return (probes == kDefaultProbes ? context.items.probes() : probes) < lists->size();
}

bool proves_by_lists(const SearchContext& context) {
    return context.items.lists() && context.items.lists()->size() > 0;
}

// All items of all lists.
SearchStats score_all(const SearchContext& context, int threads, const ListsOut& out) {
    SearchStats stats = exhaustive(context, threads, out);
    const Lists* lists = context.items.lists();
    if (lists) stats.lists_probed = context.queries.size() * lists->size();
    return stats;
}

// List after list, or all items at once for the queries that gain nothing by lists.
SearchStats prove(const SearchContext& context, int threads, const ListsOut& out) {
    SearchStats stats;
    const std::vector<std::size_t> open = search_until_proved(context, threads, out, stats);
    if (open.empty()) return stats;
    const QueryBatch queries = context.queries.select(open);
    const SearchStats rest = scan_all(with_queries(context, queries, context.codes), threads, out);
    if (open.size() == context.queries.size()) stats.precision = rest.precision;
    else if (stats.precision != std::string_view(rest.precision)) {
        stats.precision = name_of({.int8 = true, .float32 = true});
    }
    stats.items_scanned += rest.items_scanned;
    stats.rows_reranked += rest.rows_reranked;
    stats.lists_probed += open.size() * context.items.lists()->size();
    return stats;
}

}  // namespace

SearchStats search(const Items& items, const MatrixView& queries, const SearchOptions& options,
                   const ListsOut& out) {
    write_padding(out);
    if (items.size() == 0 || queries.rows == 0) return {};
    const int threads = threads_worth(items, queries.rows, options.threads);
    const kernels::KernelTable& table = kernels::for_width(kernels::active(), items.dim());
    const QueryBatch batch(table, items, queries, options.exclude, threads);
    if (batch.size() == 0) return {};
    const Allowed allowed(items, options.allow, queries.rows);
    const SearchContext context{.table = table,
                                .items = items,
                                .queries = batch,
                                .options = options,
                                .allow = allowed.rows(),
                                .codes = items.has_codes(),
                                .first_threshold = smallest_passing(options.min_score)};
    if (probes_some(context)) return search_lists(context, threads, out);
    if (exhaustive_is_cheaper(context)) return score_all(context, threads, out);
    return proves_by_lists(context) ? prove(context, threads, out)
                                    : scan_all(context, threads, out);
}

}  // namespace vecrecall::search
