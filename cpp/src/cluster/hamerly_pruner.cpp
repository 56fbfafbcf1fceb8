#include "cluster/hamerly_pruner.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "core/scoring.hpp"
#include "vecrecall/assign.hpp"

namespace vecrecall::cluster {
namespace {

// Scores of the centroids are off by 2^-24 of themselves, and distances that differ by 2^-17 of
// themselves do not round to one score.
constexpr double kSafe = 1 - 0x1p-16;

// Below, float32 scores of distances lose their precision.
constexpr double kSmallest = 0x1p-100;

void fetch(const kernels::PrefetchRange& prefetch) {
    const auto* from = static_cast<const char*>(prefetch.from);
    for (std::size_t at = 0; at < prefetch.bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
}

}  // namespace

std::vector<double> safe_distances(const MatrixView& centroids, int threads) {
    std::vector<double> safe(centroids.rows, 0.0);
    if (centroids.rows < 2) return safe;
    std::vector<std::int32_t> labels(2 * centroids.rows);
    std::vector<float> scores(2 * centroids.rows);
    assign(centroids, centroids, Metric::kL2, 2, labels.data(), scores.data(), threads);
    for (std::size_t c = 0; c < safe.size(); ++c) {
        const double distance = -static_cast<double>(scores[2 * c + 1]);
        if (std::isfinite(distance) && distance > kSmallest) safe[c] = distance / 4 * kSafe;
    }
    return safe;
}

HamerlyPruner::HamerlyPruner(const kernels::KernelTable& table, const Centroids& centroids,
                             const std::vector<double>& safe)
    : table_(table),
      centroids_(centroids),
      safe_(safe),
      nearest_(centroids),
      rows_(kTile * centroids.dim()) {}

std::size_t HamerlyPruner::run(const MatrixView& points, std::int32_t* labels, float* scores) {
    std::size_t scanned = 0;
    for (std::size_t first = 0; first < points.rows; first += kTile) {
        const std::size_t n = std::min(kTile, points.rows - first);
        upcoming_ = upcoming_tile(points, first + kTile);
        measure(points.row(first), n, labels + first);
        const std::uint64_t safe = safe_points(n, labels + first);
        scanned += n - static_cast<std::size_t>(std::popcount(safe));
        if (safe == 0) {
            scan(points.row(first), n, distances_, labels + first, scores + first);
            continue;
        }
        for (std::size_t i = 0; i < n; ++i) {
            if ((safe >> i & 1) != 0) {
                scores[first + i] = round_score(score_of(Metric::kL2, distances_[i], 0, 0));
                continue;
            }
            keep_waiting(points.row(first + i), first + i, labels[first + i], distances_[i]);
            if (waiting_ == kTile) scan_waiting(labels, scores);
        }
        fetch(upcoming_);
    }
    scan_waiting(labels, scores);
    return scanned;
}

void HamerlyPruner::measure(const float* rows, std::size_t n, const std::int32_t* labels) {
    kernels::Pair pairs[kTile];
    for (std::size_t i = 0; i < n; ++i) {
        pairs[i] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(labels[i])};
    }
    table_.pair_squared_differences(
        {rows, centroids_.scored().rows.data, centroids_.dim(), pairs, n, distances_});
}

// Those of the measured that need no scan, a bit each.
std::uint64_t HamerlyPruner::safe_points(std::size_t n, const std::int32_t* labels) const {
    if (safe_.empty()) return 0;
    std::uint64_t safe = 0;
    for (std::size_t i = 0; i < n; ++i) {
        safe |= std::uint64_t{distances_[i] < safe_[static_cast<std::size_t>(labels[i])]} << i;
    }
    return safe;
}

void HamerlyPruner::scan(const float* rows, std::size_t n, const double* known,
                         std::int32_t* labels, float* scores) {
    nearest_.find_tile(rows, n, known, labels, scores, std::exchange(upcoming_, {}));
}

void HamerlyPruner::keep_waiting(const float* row, std::size_t place, std::int32_t label,
                                 double distance) {
    std::copy_n(row, centroids_.dim(), rows_.data() + waiting_ * centroids_.dim());
    places_[waiting_] = place;
    labels_[waiting_] = label;
    known_[waiting_++] = distance;
}

void HamerlyPruner::scan_waiting(std::int32_t* labels, float* scores) {
    float found[kTile];
    scan(rows_.data(), waiting_, known_, labels_, found);
    for (std::size_t i = 0; i < waiting_; ++i) {
        labels[places_[i]] = labels_[i];
        scores[places_[i]] = found[i];
    }
    waiting_ = 0;
}

}  // namespace vecrecall::cluster
