#include "core/centering.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/scoring.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kSampleRows = 4096;

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

// Squared, of the sample's rows from a centre.
std::vector<double> distances(const kernels::KernelTable& table, const Rows& rows,
                              const std::vector<std::uint32_t>& sample, const Centre& centre) {
    std::vector<double> squares(sample.size());
    for (std::size_t i = 0; i < sample.size(); ++i) {
        table.sum_squared_differences(centre.wide.data(), rows.row(sample[i]), rows.dim(), nullptr,
                                      1, &squares[i]);
    }
    return squares;
}

// `squares`: per row of the sample |x|^2.
Centre mean_of(const kernels::KernelTable& table, const Rows& rows, Metric metric,
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
    return centre_at(table, point.data(), rows.dim());
}

}  // namespace

Centre no_centre(std::size_t dim) {
    return {.narrow = std::vector<float>(padded_dim(dim), 0.0F),
            .wide = std::vector<double>(exact_width(dim), 0.0),
            .norm = 0};
}

Centre centre_at(const kernels::KernelTable& table, const float* point, std::size_t dim) {
    Centre centre = no_centre(dim);
    std::copy_n(point, dim, centre.narrow.data());
    widen_query(point, dim, centre.wide.data());
    centre.norm = norm(table, centre.wide.data(), point, dim) * kUp;
    return centre;
}

Centre choose_centre(const kernels::KernelTable& table, const Rows& rows, Metric metric) {
    Centre none = no_centre(rows.dim());
    const std::vector<std::uint32_t> sample = sample_of(rows.size());
    if (sample.empty() || rows.dim() == 0) return none;
    std::vector<double> squares = distances(table, rows, sample, none);
    Centre centre = mean_of(table, rows, metric, sample, squares);
    if (metric == Metric::kCosine) return centre;  // unit rows never lose by it
    std::vector<double> left = distances(table, rows, sample, centre);
    return median(left) < median(squares) ? centre : none;
}

}  // namespace vecrecall::search
