#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cluster/centroids.hpp"
#include "cluster/hamerly_pruner.hpp"
#include "cluster/lengths.hpp"
#include "cluster/ties.hpp"
#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
#include "platform/fp_env.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// Below this share of points that need no scan, looking for them costs more than it saves; tried
// again after so many steps.
constexpr std::size_t kWorthOneOf = 64;
constexpr std::size_t kPatience = 4;

}  // namespace

struct Lloyd::Impl {
    struct Part {  // of one task
        double inertia;
        std::size_t relabeled;
        std::size_t scanned;
    };

    MatrixView points;
    Metric metric;
    int threads;
    const double* weights;             // or null
    bool holds;                        // ties and empty clusters keep what they have
    std::vector<std::int32_t> held;    // labels before the first step, if so
    search::Center center;             // of the points, for l2
    std::vector<std::int32_t> labels;  // of the last step
    std::vector<float> scores;
    std::vector<double> sums;
    std::vector<double> masses;  // what the points of each cluster weigh
    std::size_t labeled = 0;     // the number of centers that the labels are of
    std::size_t patience = 0;    // steps without safe distances

    double weight(std::size_t row) const { return weights == nullptr ? 1.0 : weights[row]; }
    Part label_points(const MatrixView& centers, bool known, std::int32_t* to, float* scored) const;
    Part label_task(const cluster::Centroids& centroids, const std::vector<double>& safe,
                    std::size_t task, bool known, std::int32_t* to, float* scored) const;
    std::vector<double> half_distances(const MatrixView& centers) const;
    void fill_empty();
    void move_point(std::size_t row, std::size_t to);
    double update(const float* centers, float* updated) const;
    void mean(std::size_t c, const float* old, std::vector<double>& to) const;
};

Lloyd::Lloyd(const MatrixView& points, Metric metric, int threads, const LloydOptions& options)
    : impl_(new Impl{}) {
    const FpEnvScope env;
    impl_->points = points;
    impl_->metric = metric;
    impl_->threads = threads;
    impl_->weights = options.weights;
    impl_->holds = options.held != nullptr;
    if (impl_->holds) impl_->held.assign(options.held, options.held + points.rows);
    if (metric == Metric::kL2) {
        impl_->center = search::choose_center(kernels::active(), {points}, metric);
    }
}
Lloyd::~Lloyd() = default;
Lloyd::Lloyd(Lloyd&&) noexcept = default;
Lloyd& Lloyd::operator=(Lloyd&&) noexcept = default;

LloydStep Lloyd::step(const float* centers, std::size_t k, float* updated) {
    const FpEnvScope env;
    Impl& run = *impl_;
    const MatrixView view{centers, k, run.points.dim};
    const bool known = run.labeled == k;  // labels of other centers say nothing
    run.labeled = 0;
    run.labels.resize(run.points.rows);
    run.scores.resize(run.points.rows);
    const Impl::Part all = run.label_points(view, known, run.labels.data(), run.scores.data());
    run.labeled = k;
    if (run.patience > 0) --run.patience;
    else if (known && (run.points.rows - all.scanned) * kWorthOneOf < run.points.rows)
        run.patience = kPatience;
    run.sums.resize(k * run.points.dim);
    run.masses.resize(k);
    sum_clusters(run.points, run.weights, run.labels.data(), k, run.metric,
                 {run.sums.data(), run.masses.data()}, run.threads);
    if (!run.holds) run.fill_empty();
    return {
        .inertia = all.inertia, .shift2 = run.update(centers, updated), .relabeled = all.relabeled};
}

double Lloyd::assign(const float* centers, std::size_t k, std::int32_t* labels,
                     float* scores) const {
    const FpEnvScope env;
    const MatrixView view{centers, k, impl_->points.dim};
    const bool known = impl_->labeled == k;
    if (known) std::copy(impl_->labels.begin(), impl_->labels.end(), labels);
    return impl_->label_points(view, known, labels, scores).inertia;
}

Lloyd::Impl::Part Lloyd::Impl::label_points(const MatrixView& centers, bool known, std::int32_t* to,
                                            float* scored) const {
    const kernels::KernelTable& table = kernels::active();
    const search::Center mu =
        metric == Metric::kL2 ? center : search::choose_center(table, {centers}, metric);
    const cluster::Centroids centroids(table, centers, metric, mu, threads);
    const std::vector<double> safe = known ? half_distances(centers) : std::vector<double>();
    std::vector<Part> parts(cluster::tasks_for(points.rows));
    parallel_for(parts.size(), threads, [&](std::size_t task) {
        parts[task] = label_task(centroids, safe, task, known, to, scored);
    });
    Part all{};
    for (const Part& part : parts) {
        all.inertia += part.inertia;
        all.relabeled += part.relabeled;
        all.scanned += part.scanned;
    }
    return all;
}

// From known labels in `to`: only l2 can use them.
Lloyd::Impl::Part Lloyd::Impl::label_task(const cluster::Centroids& centroids,
                                          const std::vector<double>& safe, std::size_t task,
                                          bool known, std::int32_t* to, float* scored) const {
    const kernels::KernelTable& table = kernels::active();
    const MatrixView rows = cluster::rows_of_task(points, task);
    const std::size_t first = task * cluster::kPointsPerTask;
    const std::size_t n = rows.rows;
    to += first;
    scored += first;
    std::vector<std::int32_t> before;
    if (known) before.assign(to, to + n);
    else if (holds) before.assign(held.data() + first, held.data() + first + n);
    Part part{.relabeled = known ? 0 : n, .scanned = n};
    if (metric == Metric::kL2 && known) {
        part.scanned = cluster::HamerlyPruner(table, centroids, safe).run(rows, to, scored);
    } else {
        cluster::Nearest(centroids).find(rows, to, scored);
    }
    if (holds) cluster::keep_ties_of(table, rows, centroids.scored(), before.data(), to, scored);
    const double best = metric == Metric::kCosine ? 1.0 : 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        if (known) part.relabeled += to[i] != before[i] ? 1 : 0;
        if (to[i] >= 0) part.inertia += weight(first + i) * (best - scored[i]);
    }
    return part;
}

// Finding them costs k^2 distances.
std::vector<double> Lloyd::Impl::half_distances(const MatrixView& centers) const {
    const bool worth = metric == Metric::kL2 && patience == 0 && centers.rows * 16 <= points.rows;
    return worth ? cluster::safe_distances(centers, threads) : std::vector<double>();
}

// The farthest points first, lowest row of equals; none that its own cluster has no other of.
void Lloyd::Impl::fill_empty() {
    std::vector<std::size_t> empty;
    for (std::size_t c = 0; c < masses.size(); ++c) {
        if (masses[c] == 0) empty.push_back(c);
    }
    if (empty.empty()) return;
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] >= 0) rows.push_back(i);
    }
    canceling::sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
        return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
    });
    auto next = empty.begin();
    for (const std::size_t row : rows) {
        if (next == empty.end()) return;
        const double mass = masses[static_cast<std::size_t>(labels[row])];
        if (mass > weight(row)) move_point(row, *next++);
    }
}

void Lloyd::Impl::move_point(std::size_t row, std::size_t to) {
    const auto from = static_cast<std::size_t>(labels[row]);
    double factor = weight(row);
    if (metric == Metric::kCosine) {
        const auto number = static_cast<std::int64_t>(row);
        factor *= cluster::inverse_lengths(kernels::active(), points, &number, 1)[0];
    }
    const float* x = points.row(row);
    for (std::size_t j = 0; j < points.dim; ++j) {
        sums[from * points.dim + j] -= factor * x[j];
        sums[to * points.dim + j] = factor * x[j];
    }
    masses[from] -= weight(row);
    masses[to] = weight(row);
    labels[row] = static_cast<std::int32_t>(to);
}

double Lloyd::Impl::update(const float* centers, float* updated) const {
    std::vector<double> next(points.dim);
    double shift2 = 0;
    for (std::size_t c = 0; c < masses.size(); ++c) {
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

// The center stays where no direction is left, or no point.
void Lloyd::Impl::mean(std::size_t c, const float* old, std::vector<double>& to) const {
    const double* sum = sums.data() + c * points.dim;
    double divisor = masses[c];
    if (metric == Metric::kCosine) {
        double square = 0;
        for (std::size_t j = 0; j < points.dim; ++j) square += sum[j] * sum[j];
        divisor = std::sqrt(square);
    }
    for (std::size_t j = 0; j < points.dim; ++j) to[j] = divisor > 0 ? sum[j] / divisor : old[j];
}

}  // namespace vecrecall
