#include "cluster/relabel.hpp"

#include <algorithm>
#include <cmath>

#include "scoring.hpp"
#include "vecrecall/assign.hpp"

namespace vecrecall::cluster {
namespace {

// Scores of the centroids are off by 2^-24 of themselves, and distances that differ by 2^-17 of
// themselves do not round to one score.
constexpr double kSafe = 1 - 0x1p-16;

// Below, float32 scores of distances lose their precision.
constexpr double kSmallest = 0x1p-100;

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

Relabel::Relabel(const kernels::KernelTable& table, const Centroids& centroids,
                 const std::vector<double>& safe)
    : table_(table),
      centroids_(centroids),
      safe_(safe),
      nearest_(table, centroids),
      rows_(kTile * centroids.dim()) {}

std::size_t Relabel::run(const MatrixView& points, std::int32_t* labels, float* scores) {
    std::size_t scanned = 0;
    for (std::size_t first = 0; first < points.rows; first += kTile) {
        const std::size_t n = std::min(kTile, points.rows - first);
        fetch_tile(points, first + kTile);
        measure(points.row(first), n, labels + first);
        for (std::size_t i = 0; i < n; ++i) {
            const auto label = static_cast<std::size_t>(labels[first + i]);
            if (!safe_.empty() && distances_[i] < safe_[label]) {
                scores[first + i] = round_score(score_of(Metric::kL2, distances_[i], 0, 0));
                continue;
            }
            ++scanned;
            keep_waiting(points.row(first + i), first + i, labels[first + i], distances_[i]);
            if (waiting_ == kTile) scan_waiting(labels, scores);
        }
    }
    scan_waiting(labels, scores);
    return scanned;
}

void Relabel::measure(const float* rows, std::size_t n, const std::int32_t* labels) {
    kernels::Pair pairs[kTile];
    for (std::size_t i = 0; i < n; ++i) {
        pairs[i] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(labels[i])};
    }
    table_.pair_squared_differences(
        {rows, centroids_.scored().rows.data, centroids_.dim(), pairs, n, distances_});
}

void Relabel::keep_waiting(const float* row, std::size_t place, std::int32_t label,
                           double distance) {
    std::copy_n(row, centroids_.dim(), rows_.data() + waiting_ * centroids_.dim());
    places_[waiting_] = place;
    labels_[waiting_] = label;
    known_[waiting_++] = distance;
}

void Relabel::scan_waiting(std::int32_t* labels, float* scores) {
    float found[kTile];
    nearest_.find_tile(rows_.data(), waiting_, known_, labels_, found);
    for (std::size_t i = 0; i < waiting_; ++i) {
        labels[places_[i]] = labels_[i];
        scores[places_[i]] = found[i];
    }
    waiting_ = 0;
}

}  // namespace vecrecall::cluster
