#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "cluster/lengths.hpp"
#include "fp_env.hpp"
#include "kernels/registry.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"

namespace vecrecall {
namespace {

// The inertia of a labelling: scores are minus squared distances, or cosines.
double inertia_of(Metric metric, const std::vector<std::int32_t>& labels,
                  const std::vector<float>& scores) {
    const double best = metric == Metric::kCosine ? 1.0 : 0.0;
    double total = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (labels[i] >= 0) total += best - scores[i];
    }
    return total;
}

}  // namespace

struct Lloyd::Impl {
    MatrixView points;
    Metric metric;
    int threads;
    std::vector<std::int32_t> labels;  // of the last step
    std::vector<float> scores;
    std::vector<double> sums;
    std::vector<std::int64_t> counts;

    std::size_t relabel(const float* centers, std::size_t k);
    void fill_empty();
    void move_point(std::size_t row, std::size_t to);
    double update(const float* centers, float* updated) const;
    void mean(std::size_t c, const float* old, std::vector<double>& to) const;
};

Lloyd::Lloyd(const MatrixView& points, Metric metric, int threads) : impl_(new Impl{}) {
    impl_->points = points;
    impl_->metric = metric;
    impl_->threads = threads;
}
Lloyd::~Lloyd() = default;
Lloyd::Lloyd(Lloyd&&) noexcept = default;
Lloyd& Lloyd::operator=(Lloyd&&) noexcept = default;

LloydStep Lloyd::step(const float* centers, std::size_t k, float* updated) {
    const FpEnvScope env;
    Impl& run = *impl_;
    LloydStep result{};
    result.relabelled = run.relabel(centers, k);
    result.inertia = inertia_of(run.metric, run.labels, run.scores);
    run.sums.resize(k * run.points.dim);
    run.counts.resize(k);
    sum_clusters(run.points, run.labels.data(), k, run.metric, {run.sums.data(), run.counts.data()},
                 run.threads);
    run.fill_empty();
    result.shift2 = run.update(centers, updated);
    return result;
}

double Lloyd::assign(const float* centers, std::size_t k, std::int32_t* labels,
                     float* scores) const {
    const FpEnvScope env;
    const std::size_t n = impl_->points.rows;
    vecrecall::assign(impl_->points, {centers, k, impl_->points.dim}, impl_->metric, 1, labels,
                      scores, impl_->threads);
    return inertia_of(impl_->metric, {labels, labels + n}, {scores, scores + n});
}

std::size_t Lloyd::Impl::relabel(const float* centers, std::size_t k) {
    std::vector<std::int32_t> now(points.rows);
    scores.resize(points.rows);
    vecrecall::assign(points, {centers, k, points.dim}, metric, 1, now.data(), scores.data(),
                      threads);
    std::size_t changed = labels.empty() ? points.rows : 0;
    for (std::size_t i = 0; i < labels.size(); ++i) changed += now[i] != labels[i] ? 1 : 0;
    labels = std::move(now);
    return changed;
}

// The farthest points first, lowest row of equals; none that its own cluster has no other of.
void Lloyd::Impl::fill_empty() {
    std::vector<std::size_t> empty;
    for (std::size_t c = 0; c < counts.size(); ++c) {
        if (counts[c] == 0) empty.push_back(c);
    }
    if (empty.empty()) return;
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] >= 0) rows.push_back(i);
    }
    std::sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
        return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
    });
    auto next = empty.begin();
    for (const std::size_t row : rows) {
        if (next == empty.end()) return;
        if (counts[static_cast<std::size_t>(labels[row])] > 1) move_point(row, *next++);
    }
}

void Lloyd::Impl::move_point(std::size_t row, std::size_t to) {
    const auto from = static_cast<std::size_t>(labels[row]);
    double weight = 1.0;
    if (metric == Metric::kCosine) {
        const auto number = static_cast<std::int64_t>(row);
        weight = cluster::inverse_lengths(kernels::active(), points, &number, 1)[0];
    }
    const float* x = points.row(row);
    for (std::size_t j = 0; j < points.dim; ++j) {
        sums[from * points.dim + j] -= weight * x[j];
        sums[to * points.dim + j] = weight * x[j];
    }
    --counts[from];
    counts[to] = 1;
    labels[row] = static_cast<std::int32_t>(to);
}

double Lloyd::Impl::update(const float* centers, float* updated) const {
    std::vector<double> next(points.dim);
    double shift2 = 0;
    for (std::size_t c = 0; c < counts.size(); ++c) {
        const float* old = centers + c * points.dim;
        mean(c, old, next);
        float* to = updated + c * points.dim;
        for (std::size_t j = 0; j < points.dim; ++j) {
            const auto value = static_cast<float>(next[j]);
            const double moved = static_cast<double>(value) - old[j];
            shift2 += moved * moved;
            to[j] = value;
        }
    }
    return shift2;
}

// The centre stays where no direction is left, or no point.
void Lloyd::Impl::mean(std::size_t c, const float* old, std::vector<double>& to) const {
    const double* sum = sums.data() + c * points.dim;
    auto divisor = static_cast<double>(counts[c]);
    if (metric == Metric::kCosine) {
        double square = 0;
        for (std::size_t j = 0; j < points.dim; ++j) square += sum[j] * sum[j];
        divisor = std::sqrt(square);
    }
    for (std::size_t j = 0; j < points.dim; ++j) to[j] = divisor > 0 ? sum[j] / divisor : old[j];
}

}  // namespace vecrecall
