#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "data.hpp"
#include "on_every_isa.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"
#include "vecrecall/parallel.hpp"

using namespace vecrecall;

namespace {

// The score bits of the contract, in plain float64.
float score_of(Metric metric, const float* x, const float* y, std::size_t dim) {
    const auto reduce = [](const double* a) {
        return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
    };
    double sums[8] = {};
    double xx[8] = {};
    double yy[8] = {};
    for (std::size_t j = 0; j < dim; ++j) {
        const double a = x[j];
        const double b = y[j];
        xx[j % 8] += a * a;
        yy[j % 8] += b * b;
        sums[j % 8] += metric == Metric::kL2 ? (a - b) * (a - b) : a * b;
    }
    const double sum = reduce(sums);
    if (metric == Metric::kIp) return static_cast<float>(sum) + 0.0F;
    if (metric == Metric::kL2) return static_cast<float>(0.0 - sum) + 0.0F;
    return static_cast<float>(sum / (std::sqrt(reduce(xx)) * std::sqrt(reduce(yy)))) + 0.0F;
}

void check_assign(const MatrixView& x, const MatrixView& y, Metric metric) {
    std::vector<std::int32_t> labels(x.rows);
    std::vector<float> scores(x.rows);
    assign(x, y, metric, 1, labels.data(), scores.data(), 2);
    for (std::size_t i = 0; i < x.rows; ++i) {
        std::int32_t best = 0;
        float score = -std::numeric_limits<float>::infinity();
        for (std::size_t c = 0; c < y.rows; ++c) {
            const float s = score_of(metric, x.row(i), y.row(c), x.dim);
            if (s > score) {
                score = s;
                best = static_cast<std::int32_t>(c);
            }
        }
        CHECK(labels[i] == best);
        CHECK(std::memcmp(&scores[i], &score, sizeof(score)) == 0);
    }
}

// Exact-size arrays, so that the sanitizer sees a read past either end.
void check_shapes(std::size_t n, std::size_t k, std::size_t dim) {
    const auto x = test::gaussian(n * dim, 3);
    const auto y = test::gaussian(k * dim, 4);
    if (k > 2) std::copy_n(y.get(), dim, y.get() + 2 * dim);  // a tie
    if (n > 1) x[dim] *= 1e25F;                               // out of the scan's range
    for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
        check_assign({x.get(), n, dim}, {y.get(), k, dim}, metric);
    }
}

// Codes of these tell nothing apart: the scan goes on in float32.
void check_float_scan() {
    constexpr std::size_t kDim = 9;
    const auto x = test::gaussian(300 * kDim, 5);
    const auto y = test::gaussian(97 * kDim, 6);
    for (std::size_t i = 0; i < 97 * kDim; ++i) y[i] = 1.0F + y[i] * 1e-5F;
    check_assign({x.get(), 300, kDim}, {y.get(), 97, kDim}, Metric::kL2);
    check_assign({x.get(), 300, kDim}, {y.get(), 97, kDim}, Metric::kCosine);
}

// The first of two, by whichever thread.
void check_nonfinite() {
    constexpr std::size_t kRows = 9000;
    const auto x = test::gaussian(kRows, 9);
    const auto y = test::gaussian(5, 10);
    x[8999] = std::numeric_limits<float>::infinity();
    x[4500] = std::numeric_limits<float>::quiet_NaN();
    std::vector<std::int32_t> labels(kRows);
    std::vector<float> scores(kRows);
    std::string said;
    try {
        assign({x.get(), kRows, 1}, {y.get(), 5, 1}, Metric::kL2, 1, labels.data(), scores.data());
    } catch (const std::invalid_argument& error) {
        said = error.what();
    }
    CHECK(said == "points: expected finite values, got NaN or infinity in row 4500");
}

// A step is an assignment and its means, whatever the labels were before.
void check_lloyd(Metric metric) {
    constexpr std::size_t kRows = 5000;
    constexpr std::size_t kDim = 6;
    constexpr std::size_t kCenters = 12;
    const auto x = test::gaussian(kRows * kDim, 7);
    for (std::size_t i = 0; i < kRows * kDim; ++i) {
        x[i] = x[i] * 0.3F + static_cast<float>(i / kDim % 10);
    }
    const MatrixView points{x.get(), kRows, kDim};
    std::vector<float> centers(x.get(), x.get() + kCenters * kDim);
    std::vector<float> next(centers.size());
    Lloyd run(points, metric, 2);
    double before = std::numeric_limits<double>::infinity();
    for (int round = 0; round < 8; ++round) {
        Lloyd fresh(points, metric, 1);
        std::vector<float> expected(centers.size());
        const double inertia = fresh.step(centers.data(), kCenters, expected.data()).inertia;
        const LloydStep step = run.step(centers.data(), kCenters, next.data());
        CHECK(step.inertia == inertia);
        CHECK(std::memcmp(next.data(), expected.data(), next.size() * sizeof(float)) == 0);
        CHECK(step.inertia <= before * (1 + 1e-5));
        before = step.inertia;
        centers = next;
    }
    std::vector<std::int32_t> labels(kRows);
    std::vector<float> scores(kRows);
    CHECK(run.assign(centers.data(), kCenters, labels.data(), scores.data()) <=
          before * (1 + 1e-5));
}

TEST_CASE("cluster: k-means plus plus draws rows") {
    constexpr std::size_t kRows = 70;
    const auto x = test::gaussian(kRows * 3, 8);
    std::vector<double> draws(kRows);
    for (std::size_t i = 0; i < kRows; ++i) {
        draws[i] = i % 3 == 0 ? 0.0 : i % 3 == 1 ? 0.5 : std::nextafter(1.0, 0.0);
    }
    std::vector<std::int64_t> rows(kRows);
    plus_plus({x.get(), kRows, 3}, nullptr, draws.data(), kRows, 1, Metric::kL2, rows.data(), 2);
    std::sort(rows.begin(), rows.end());
    for (std::size_t i = 0; i < kRows; ++i) CHECK(rows[i] == static_cast<std::int64_t>(i));
    plus_plus({x.get(), kRows, 3}, nullptr, draws.data(), kRows / 2, 2, Metric::kL2, rows.data(),
              1);
    std::sort(rows.begin(), rows.begin() + kRows / 2);
    CHECK(std::adjacent_find(rows.begin(), rows.begin() + kRows / 2) == rows.begin() + kRows / 2);
}

TEST_CASE("cluster: assignment of all shapes") {
    test::on_every_isa([] {
        for (const std::size_t dim : {1, 4, 15, 33}) {
            for (const std::size_t k : {1, 3, 12, 25}) {
                for (const std::size_t n : {1, 64, 131}) check_shapes(n, k, dim);
            }
        }
    });
}

TEST_CASE("cluster: assignment where codes tell nothing apart") {
    test::on_every_isa(check_float_scan);
}

TEST_CASE("cluster: assignment of points that are not finite") {
    test::on_every_isa(check_nonfinite);
}

TEST_CASE("cluster: steps of k-means") {
    test::on_every_isa([] {
        check_lloyd(Metric::kL2);
        check_lloyd(Metric::kCosine);
    });
}

}  // namespace
