#include "search/list_tuning.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/registry.hpp"
#include "search/list_chooser.hpp"
#include "search/search.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kSample = 256;
constexpr double kFirstRecall = 0.95;
constexpr std::size_t kFirstK = 10;

constexpr std::size_t kQueriesATask = 8;

// Exact lists of k.
struct Found {
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<std::int32_t> counts;

    Found(std::size_t queries, std::size_t k)
        : ids(queries * k), scores(queries * k), counts(queries) {}
};

// Of a list among all lists as the query ranks them: how many come before it.
std::vector<std::uint32_t> ranks(const std::vector<std::uint32_t>& order) {
    std::vector<std::uint32_t> ranks(order.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) ranks[order[i]] = i;
    return ranks;
}

}  // namespace

std::size_t probes_reaching(const Items& items, const MatrixView& queries,
                            const RaggedView<std::int64_t>& exclude, double recall, std::size_t k,
                            int threads) {
    const Lists& lists = *items.lists();
    if (lists.size() == 0 || items.size() == 0) return 1;
    k = std::min(k, items.size());  // a shorter list is full
    const kernels::KernelTable& table = kernels::active();
    Found found(queries.rows, k);
    search(items, queries, {.k = k, .exclude = exclude, .probes = kExactProbes, .threads = threads},
           {found.ids.data(), found.scores.data(), found.counts.data(), queries.rows, k});
    const QueryBatch batch(table, items, queries, {}, threads);
    // Of each task: how many of the best items are in the list of a rank; those in none come first.
    const std::size_t tasks = (batch.size() + kQueriesATask - 1) / kQueriesATask;
    std::vector<std::vector<std::size_t>> parts(tasks, std::vector<std::size_t>(lists.size(), 0));
    parallel_for(tasks, threads, [&](std::size_t task) {
        const std::size_t first = task * kQueriesATask;
        const std::size_t end = std::min(batch.size(), first + kQueriesATask);
        for (std::size_t q = first; q < end; ++q) {
            const auto rank_of = ranks(choose_lists(table, lists, batch, q, 1, lists.size())[0]);
            const std::size_t place = batch[q].place;
            for (std::int32_t i = 0; i < found.counts[place]; ++i) {
                const std::int64_t id = found.ids[place * k + static_cast<std::size_t>(i)];
                const std::int64_t list = items.list_of(static_cast<std::size_t>(items.find(id)));
                ++parts[task][list < 0 ? 0 : rank_of[static_cast<std::size_t>(list)]];
            }
        }
    });
    std::vector<std::size_t> counts(lists.size(), 0);
    for (const auto& part : parts) {
        for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += part[i];
    }
    const auto all =
        static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
    double held = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        held += static_cast<double>(counts[i]);
        // The quotient is rounded as the recall that is asked for: 56 of 100 is 0.56.
        if (held == all || held / all >= recall) return i + 1;
    }
    return lists.size();
}

std::size_t first_probes(const Items& items, int threads) {
    const std::vector<std::uint32_t> rows = items.rows_by_insertion_rank();
    const std::size_t n = std::min(kSample, rows.size());
    if (n == 0) return 1;
    std::vector<float> queries;
    std::vector<std::int64_t> own;
    std::vector<std::int64_t> offsets(n + 1);
    std::iota(offsets.begin(), offsets.end(), std::int64_t{0});
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t row = rows[i * rows.size() / n];
        queries.insert(queries.end(), items.row(row), items.row(row) + items.dim());
        own.push_back(items.id(row));
    }
    return probes_reaching(items, {queries.data(), n, items.dim()}, {own.data(), offsets.data(), n},
                           kFirstRecall, kFirstK, threads);
}

}  // namespace vecrecall::search
