#include "search/above.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>

#include "kernels/registry.hpp"
#include "search/arguments.hpp"
#include "search/collector.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Queries that are scanned together; more are no faster.
constexpr std::size_t kTileQueries = 256;

// Entries that are held before their lists are finished, but for a list that alone is longer.
constexpr std::size_t kMostHeld = std::size_t{1} << 21;

// So that no thread waits for long while another one has work.
constexpr std::size_t kTasksAThread = 4;

// Lists of some queries, one behind the other. Tasks are pairs of a tile of queries and a block of
// items. Where more is found than should be held, the run ends earlier: what was found for queries
// behind its end is dropped, and found again by the next.
class QueryBatchRun {
  public:
    // At most so many queries, from the first on; thresholds are in the caller's order.
    QueryBatchRun(const SearchContext& context, const float* thresholds, std::size_t first,
                  std::size_t most, int threads);

    // Appends the lists, and returns how many there are.
    std::size_t run(RaggedLists& lists);

  private:
    // Collectors of a tile that no thread has.
    using Idle = std::vector<std::unique_ptr<Collector>>;

    std::size_t first_of(std::size_t tile) const { return tile * tile_queries_; }
    std::size_t queries_of(std::size_t tile) const;
    std::unique_ptr<Collector> take(std::size_t tile);
    void put_back(std::size_t tile, std::unique_ptr<Collector> collector, std::size_t held_before);
    void end_earlier();
    void exhaustive(std::size_t q);
    void append(RaggedLists& lists);

    const SearchContext& context_;
    int threads_;
    std::size_t first_;
    std::size_t tile_queries_;
    std::vector<std::atomic<float>> thresholds_;
    std::vector<ExcludedRows> excluded_;  // per tile
    std::vector<std::vector<Scored>> lists_;
    std::mutex mutex_;  // of all below
    std::size_t size_;  // queries; shrinks where the run ends earlier
    std::vector<Idle> idle_;
    std::size_t held_ = 0;  // entries
};

// As many tiles as give every thread some tasks; no more, since what they find is held together.
QueryBatchRun::QueryBatchRun(const SearchContext& context, const float* thresholds,
                             std::size_t first, std::size_t most, int threads)
    : context_(context), threads_(threads), first_(first) {
    const std::size_t tasks = kTasksAThread * static_cast<std::size_t>(threads);
    const std::size_t tiles = (tasks + context.items.blocks() - 1) / context.items.blocks();
    size_ = std::min({most, context.queries.size() - first, tiles * kTileQueries});
    tile_queries_ = (size_ + tiles - 1) / tiles;
    idle_.resize((size_ + tile_queries_ - 1) / tile_queries_);
    for (std::size_t tile = 0; tile < idle_.size(); ++tile) {
        excluded_.emplace_back(context, first_ + first_of(tile), queries_of(tile));
    }
    thresholds_ = std::vector<std::atomic<float>>(size_);
    for (std::size_t q = 0; q < size_; ++q) {
        thresholds_[q].store(thresholds[context.queries[first + q].place]);
    }
}

std::size_t QueryBatchRun::run(RaggedLists& lists) {
    const std::size_t blocks = context_.items.blocks();
    parallel_for(idle_.size() * blocks, threads_, [&](std::size_t task) {
        const std::size_t tile = task / blocks;
        std::unique_ptr<Collector> collector = take(tile);
        if (!collector) return;
        const std::size_t held_before = collector->entries();
        collector->scan(task % blocks);
        put_back(tile, std::move(collector), held_before);
    });
    lists_.resize(size_);
    parallel_for(size_, threads_, [&](std::size_t q) { exhaustive(q); });
    append(lists);
    return size_;
}

std::size_t QueryBatchRun::queries_of(std::size_t tile) const {
    const std::size_t first = first_of(tile);
    return first < size_ ? std::min(tile_queries_, size_ - first) : 0;
}

// Null where the run ends before the tile.
std::unique_ptr<Collector> QueryBatchRun::take(std::size_t tile) {
    const std::size_t first = first_of(tile);
    std::unique_lock lock(mutex_);
    const std::size_t n = queries_of(tile);
    if (n == 0) return nullptr;
    if (idle_[tile].empty()) {
        lock.unlock();
        return std::make_unique<Collector>(context_, excluded_[tile], first_ + first, n,
                                           thresholds_.data() + first);
    }
    std::unique_ptr<Collector> collector = std::move(idle_[tile].back());
    idle_[tile].pop_back();
    return collector;
}

void QueryBatchRun::put_back(std::size_t tile, std::unique_ptr<Collector> collector,
                             std::size_t held_before) {
    const std::lock_guard lock(mutex_);
    collector->keep_queries(queries_of(tile));
    held_ += collector->entries();
    held_ -= held_before;
    idle_[tile].push_back(std::move(collector));
    if (held_ > kMostHeld) end_earlier();
}

// Keeps queries that hold half of what may be held, one at least. Threads cut off
// their current tiles themselves.
void QueryBatchRun::end_earlier() {
    std::size_t kept = 0;
    std::size_t held = 0;
    for (; kept < size_; ++kept) {
        const std::size_t tile = kept / tile_queries_;
        for (const auto& collector : idle_[tile]) {
            held += collector->found(kept - first_of(tile)).size();
        }
        if (held > kMostHeld / 2) break;
    }
    size_ = std::max<std::size_t>(kept, 1);
    for (std::size_t tile = 0; tile < idle_.size(); ++tile) {
        for (const auto& collector : idle_[tile]) {
            held_ -= collector->entries();
            collector->keep_queries(queries_of(tile));
            held_ += collector->entries();
        }
        if (queries_of(tile) == 0) idle_[tile].clear();
    }
}

void QueryBatchRun::exhaustive(std::size_t q) {
    const std::size_t tile = q / tile_queries_;
    std::vector<Scored>& list = lists_[q];
    for (const auto& collector : idle_[tile]) {
        std::vector<Scored> part = std::move(collector->found(q - first_of(tile)));
        if (list.size() < part.size()) list.swap(part);
        list.insert(list.end(), part.begin(), part.end());
    }
    keep_best(list, context_.options.k);
    sort_best(list);
}

void QueryBatchRun::append(RaggedLists& lists) {
    std::vector<std::size_t> starts(size_);
    std::size_t total = 0;
    for (std::size_t q = 0; q < size_; ++q) {
        starts[q] = total;
        total += lists_[q].size();
        lists.offsets[context_.queries[first_ + q].place + 1] =
            static_cast<std::int64_t>(lists_[q].size());
    }
    std::int64_t* ids = lists.ids.extend(total);
    float* scores = lists.scores.extend(total);
    parallel_for(size_, threads_, [&](std::size_t q) {
        const std::vector<Scored> list = std::move(lists_[q]);
        for (std::size_t i = 0; i < list.size(); ++i) {
            ids[starts[q] + i] = list[i].id;
            scores[starts[q] + i] = list[i].score;
        }
    });
}

}  // namespace

RaggedLists search_above(const Items& items, const MatrixView& queries,
                         const AboveOptions& options) {
    RaggedLists lists;
    lists.offsets.resize(queries.rows + 1);
    if (items.size() == 0 || queries.rows == 0) return lists;
    const int threads = threads_worth(items, queries.rows, options.threads);
    const kernels::KernelTable& table = kernels::for_width(kernels::active(), items.dim());
    const QueryBatch batch(table, items, queries, options.exclude, threads);
    const Allowed allowed(items, options.allow, queries.rows);
    std::vector<float> thresholds(queries.rows);
    std::transform(options.min_scores, options.min_scores + queries.rows, thresholds.begin(),
                   smallest_passing);
    const SearchOptions most{.k = std::min(options.limit, items.size())};
    const SearchContext context{.table = table,
                                .items = items,
                                .queries = batch,
                                .options = most,
                                .allow = allowed.rows(),
                                .codes = items.has_codes(),
                                .first_threshold = -std::numeric_limits<float>::infinity()};
    std::size_t most_queries = batch.size();
    for (std::size_t q = 0; q < batch.size();) {
        const std::size_t done =
            QueryBatchRun(context, thresholds.data(), q, most_queries, threads).run(lists);
        most_queries = 2 * done;
        q += done;
    }
    std::partial_sum(lists.offsets.begin(), lists.offsets.end(), lists.offsets.begin());
    lists.ids.shrink_to_fit();
    lists.scores.shrink_to_fit();
    return lists;
}

}  // namespace vecrecall::search
