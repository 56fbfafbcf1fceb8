#include "core/centering.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "core/scoring.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kSampleRows = 4096;

// The center has a direction where it is so much of the typical row's squared length, and where an
// offset for every item costs little next to the products.
constexpr double kMostOfARow = 0.5;
constexpr std::size_t kFewestDimsForDirection = 128;

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

std::vector<std::uint32_t> sample_of(std::size_t rows) {
    const std::size_t stride = std::max<std::size_t>(1, rows / kSampleRows);
    std::vector<std::uint32_t> sample;
    for (std::size_t i = 0; i < rows; i += stride) sample.push_back(static_cast<std::uint32_t>(i));
    return sample;
}

// Squared, of the sample's rows from a center.
std::vector<double> distances(const kernels::KernelTable& table, const Rows& rows,
                              const std::vector<std::uint32_t>& sample, const Center& center) {
    std::vector<double> squares(sample.size());
    for (std::size_t i = 0; i < sample.size(); ++i) {
        table.sum_squared_differences(center.wide.data(), rows.row(sample[i]), rows.dim(), nullptr,
                                      1, &squares[i]);
    }
    return squares;
}

// `squares`: per row of the sample |x|^2.
Center mean_of(const kernels::KernelTable& table, const Rows& rows, Metric metric,
               const std::vector<std::uint32_t>& sample, const std::vector<double>& squares) {
    std::vector<double> mean(rows.dim(), 0.0);
    for (std::size_t i = 0; i < sample.size(); ++i) {
        const double length = metric == Metric::kCosine ? std::sqrt(squares[i]) : 1.0;
        const float* row = rows.row(sample[i]);
        for (std::size_t j = 0; j < rows.dim() && length > 0; ++j) mean[j] += row[j] / length;
    }
    std::vector<float> point(rows.dim());
    for (std::size_t j = 0; j < rows.dim(); ++j) {
        point[j] = static_cast<float>(mean[j] / static_cast<double>(sample.size()));
    }
    return center_at(table, point.data(), rows.dim());
}

}  // namespace

Center no_center(std::size_t dim) {
    return {.narrow = std::vector<float>(padded_dim(dim), 0.0F),
            .wide = std::vector<double>(exact_width(dim), 0.0),
            .norm = 0,
            .direction = {}};
}

Center center_at(const kernels::KernelTable& table, const float* point, std::size_t dim) {
    Center center = no_center(dim);
    std::copy_n(point, dim, center.narrow.data());
    widen_query(point, dim, center.wide.data());
    center.norm = norm(table, center.wide.data(), point, dim) * kUp;
    return center;
}

Center with_direction(Center center) {
    double square = 0;
    for (const double x : center.wide) square += x * x;
    if (!(square > 0)) return center;
    center.direction = center.wide;
    for (double& x : center.direction) x /= std::sqrt(square);
    return center;
}

Center choose_center(const kernels::KernelTable& table, const Rows& rows, Metric metric) {
    Center none = no_center(rows.dim());
    const std::vector<std::uint32_t> sample = sample_of(rows.size());
    if (sample.empty() || rows.dim() == 0) return none;
    std::vector<double> squares = distances(table, rows, sample, none);
    Center center = mean_of(table, rows, metric, sample, squares);
    const bool cosine = metric == Metric::kCosine;
    const double typical = cosine ? 1.0 : median(squares);
    if (!cosine) {  // unit rows never lose by it
        std::vector<double> left = distances(table, rows, sample, center);
        if (!(median(left) < typical)) return none;
    }
    const bool directed = metric != Metric::kL2 && rows.dim() >= kFewestDimsForDirection &&
                          center.norm * center.norm > kMostOfARow * typical;
    return directed ? with_direction(std::move(center)) : center;
}

}  // namespace vecrecall::search
