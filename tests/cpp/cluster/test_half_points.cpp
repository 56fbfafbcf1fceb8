// Points of half precision are assigned, clustered and pooled as the same points in float32.
#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "data.hpp"
#include "on_every_isa.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"
#include "vecrecall/pool.hpp"
#include "vecrecall/values.hpp"

using namespace vecrecall;

namespace {

constexpr Metric kMetrics[] = {Metric::kIp, Metric::kCosine, Metric::kL2};

// Numbers that both types have, and the same in float32; in memory of exact size.
struct Points {
    std::unique_ptr<float[]> wide;
    std::unique_ptr<std::uint16_t[]> narrow;
    std::size_t n;
    std::size_t dim;
    RowType type;

    Points(RowType of, std::size_t rows, std::size_t width)
        : wide(test::gaussian(rows * width, 3)),
          narrow(new std::uint16_t[rows * width]),
          n(rows),
          dim(width),
          type(of) {
        for (std::size_t i = 0; i < n * dim; ++i) {
            wide[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(wide[i]) & 0xFFFF0000U);
            if (std::bit_cast<std::uint32_t>(wide[i]) << 1 < 0x71000000U) wide[i] = 0;  // 2^-14
        }
        const RoundingLoss loss = round_rows(floats(), type, narrow.get(), 1);
        CHECK(loss.largest == 0);
    }

    MatrixView floats() const { return {wide.get(), n, dim}; }
    RowsView halves() const { return {RowPointer(narrow.get(), type), n, dim}; }
};

struct Assigned {
    std::vector<std::int32_t> labels;
    std::vector<float> scores;
    bool operator==(const Assigned&) const = default;
};

Assigned assigned(const RowsView& points, const MatrixView& centroids, Metric metric,
                  std::size_t m) {
    Assigned found{.labels = std::vector<std::int32_t>(points.rows * m),
                   .scores = std::vector<float>(points.rows * m)};
    assign(points, centroids, metric, m, found.labels.data(), found.scores.data(), 2);
    return found;
}

void check_assign(const Points& points, Metric metric) {
    const auto rows = test::gaussian(12 * points.dim, 4);
    const MatrixView centroids{rows.get(), 12, points.dim};
    for (const std::size_t m : {1, 3, 9}) {
        CHECK(assigned(points.halves(), centroids, metric, m) ==
              assigned(points.floats(), centroids, metric, m));
    }
    const Assigned own = assigned(points.floats(), centroids, metric, 1);
    std::vector<double> sums[2];
    double masses[12];
    for (const bool half : {false, true}) {
        sums[half].resize(12 * points.dim);
        const RowsView view = half ? points.halves() : RowsView(points.floats());
        sum_clusters(view, nullptr, own.labels.data(), 12, metric, {sums[half].data(), masses}, 2);
    }
    CHECK(sums[0] == sums[1]);
}

// Steps from drawn rows, the last from labels that are known.
std::vector<float> centers_of(const RowsView& points, Metric metric) {
    constexpr std::size_t kCenters = 5;
    const double draws[2 * kCenters] = {0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8, 0.4, 0.6, 0.05};
    std::int64_t rows[kCenters];
    plus_plus(points, nullptr, draws, kCenters, 2, metric, rows, 2);
    std::vector<float> centers(kCenters * points.dim);
    for (std::size_t c = 0; c < kCenters; ++c) {
        for (std::size_t j = 0; j < points.dim; ++j) {
            centers[c * points.dim + j] = static_cast<float>((rows[c] + static_cast<long>(j)) % 7);
        }
    }
    Lloyd run(points, metric, 2);
    for (int round = 0; round < 4; ++round) {
        run.step(centers.data(), kCenters, centers.data());
    }
    return centers;
}

void check_pool(const Points& points, Pooling mode) {
    const std::int64_t values[] = {8, 0, -1, 3, 3, 7};
    const std::int64_t offsets[] = {0, 3, 3, 6};
    std::vector<float> out[2];
    for (const bool half : {false, true}) {
        out[half].resize(3 * points.dim);
        const RowsView view = half ? points.halves() : RowsView(points.floats());
        pool(view, {values, offsets, 3}, {.mode = mode, .threads = 1}, out[half].data());
    }
    CHECK(out[0] == out[1]);
}

TEST_CASE("half points: assignment, k-means, pooling") {
    test::on_every_isa([] {
        for (const RowType type : {RowType::kFloat16, RowType::kBFloat16}) {
            for (const std::size_t dim : {1, 7, 33, 64}) {
                const Points points(type, 200, dim);
                for (const Metric metric : kMetrics) check_assign(points, metric);
                for (const Metric metric : {Metric::kL2, Metric::kCosine}) {
                    CHECK(centers_of(points.halves(), metric) ==
                          centers_of(points.floats(), metric));
                }
                for (const Pooling mode : {Pooling::kSum, Pooling::kMean, Pooling::kMax}) {
                    check_pool(points, mode);
                }
            }
        }
    });
}

}  // namespace
