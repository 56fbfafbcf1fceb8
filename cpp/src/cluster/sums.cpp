#include <algorithm>
#include <cmath>
#include <vector>

#include "cluster/lengths.hpp"
#include "core/pooling.hpp"
#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
#include "platform/scratch.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

constexpr std::size_t kChunk = 32768;

// Row numbers by label, ascending within one: a counting sort, chunk by chunk.
class ClusterRows {
  public:
    ClusterRows(const std::int32_t* labels, std::size_t n, std::size_t k, int threads)
        : labels_(labels), n_(n), k_(k), chunks_((n + kChunk - 1) / kChunk), rows_(n) {
        places_.assign(chunks_ * k, 0);
        parallel_for(chunks_, threads, [&](std::size_t chunk) { count(chunk); });
        starts_.assign(k + 1, 0);
        std::int64_t at = 0;
        for (std::size_t c = 0; c < k; ++c) {
            canceling::check_each(c);
            starts_[c] = at;
            for (std::size_t chunk = 0; chunk < chunks_; ++chunk) {
                const std::int64_t here = places_[chunk * k + c];
                places_[chunk * k + c] = at;
                at += here;
            }
        }
        starts_[k] = at;
        parallel_for(chunks_, threads, [&](std::size_t chunk) { place(chunk); });
    }

    std::int64_t count_of(std::size_t c) const { return starts_[c + 1] - starts_[c]; }
    const std::int64_t* begin(std::size_t c) { return rows_.data() + starts_[c]; }
    // Of all rows from those of a cluster on.
    std::int64_t left_from(std::size_t c) const { return starts_[k_] - starts_[c]; }

  private:
    void count(std::size_t chunk) {
        const std::size_t end = std::min(n_, (chunk + 1) * kChunk);
        std::int64_t* counts = places_.data() + chunk * k_;
        for (std::size_t i = chunk * kChunk; i < end; ++i) {
            if (labels_[i] >= 0) ++counts[labels_[i]];
        }
    }
    void place(std::size_t chunk) {
        const std::size_t end = std::min(n_, (chunk + 1) * kChunk);
        std::int64_t* places = places_.data() + chunk * k_;
        for (std::size_t i = chunk * kChunk; i < end; ++i) {
            if (labels_[i] < 0) continue;
            rows_.data()[places[labels_[i]]++] = static_cast<std::int64_t>(i);
        }
    }

    const std::int32_t* labels_;
    std::size_t n_;
    std::size_t k_;
    std::size_t chunks_;
    std::vector<std::int64_t> places_;
    std::vector<std::int64_t> starts_;
    Scratch<std::int64_t> rows_;
};

// Multiplies the factors of some rows, or ones, by their weights. Returns the sum of the weights.
double weigh(const double* weights, const std::int64_t* rows, std::size_t n,
             std::vector<double>& factors) {
    factors.resize(n, 1.0);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double weight = weights[rows[i]];
        factors[i] *= weight;
        total += weight;
    }
    return total;
}

}  // namespace

void sum_clusters(const RowsView& points, const double* weights, const std::int32_t* labels,
                  std::size_t k, Metric metric, const ClusterSums& out, int threads) {
    const kernels::KernelTable& table = kernels::active();
    ClusterRows members(labels, points.rows, k, threads);
    parallel_for(k, threads, [&](std::size_t c) {
        const std::int64_t* rows = members.begin(c);
        const auto n = static_cast<std::size_t>(members.count_of(c));
        std::vector<double> factors;
        if (metric == Metric::kCosine) factors = cluster::inverse_lengths(table, points, rows, n);
        out.weights[c] =
            weights == nullptr ? static_cast<double>(n) : weigh(weights, rows, n, factors);
        combine_bag(table.pool_sum, {.table = points.row(0),
                                     .dim = points.dim,
                                     .rows = rows,
                                     .weights = factors.empty() ? nullptr : factors.data(),
                                     .n_rows = n,
                                     .entries = rows,
                                     .n_entries = static_cast<std::size_t>(members.left_from(c)),
                                     .out = nullptr,
                                     .sums = out.sums + c * points.dim});
    });
}

}  // namespace vecrecall
