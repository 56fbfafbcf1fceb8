#include "cluster/centroids.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "cluster/bound.hpp"
#include "kernels/registry.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::cluster {
namespace {

constexpr std::size_t kCentroidsPerTask = 32;
constexpr std::size_t kWidestVector = 16;  // lanes that a load may reach past the last

// Times d + 48: what float64 rounding leaves unsure of a row of length one.
constexpr double kLengthRounding = 0x1p-51;

std::size_t groups_of(std::size_t centroids, std::size_t in_group) {
    return (centroids + in_group - 1) / in_group;
}

// Places for whole groups of both scans.
std::size_t whole_groups(const kernels::KernelTable& table, std::size_t centroids) {
    const std::size_t both = std::lcm(table.nearest_i8_group, table.nearest_f32_group);
    return groups_of(centroids, both) * both;
}

}  // namespace

void Errors::assign(std::size_t n) {
    for (std::vector<float>* terms : {&per_miss, &per_length, &per_unit}) terms->assign(n, 0.0F);
}

void Errors::raise(std::size_t to, const Errors& from, std::size_t i) {
    per_miss[to] = std::max(per_miss[to], from.per_miss[i]);
    per_length[to] = std::max(per_length[to], from.per_length[i]);
    per_unit[to] = std::max(per_unit[to], from.per_unit[i]);
}

kernels::ErrorTerms Errors::terms() const {
    return {per_miss.data(), per_length.data(), per_unit.data()};
}

Centroids::Centroids(const kernels::KernelTable& table, const MatrixView& rows, Metric metric,
                     const search::Center& center, int threads)
    : table_(kernels::for_width(table, rows.dim)),
      scored_{.rows = rows, .bias = nullptr, .metric = metric},
      center_(center),
      nothing_(center.narrow.size(), 0.0F),
      quads_((rows.dim + 3) / 4),
      groups_i8_(groups_of(rows.rows, table_.nearest_i8_group)),
      groups_f32_(groups_of(rows.rows, table_.nearest_f32_group)),
      padded_(whole_groups(table_, rows.rows)),
      lengths_(padded_),
      radii_(padded_) {
    const std::size_t read = padded_ + kWidestVector;
    has_codes_ = rows.dim <= kMostCodeDims;
    if (has_codes_) {
        blocks_i8_ =
            Buffer<std::int8_t>(checked_product(padded_, table_.nearest_i8_layout.width(quads_)));
        columns_ = Buffer<std::int8_t>(
            checked_product(padded_ / table_.nearest_i8_group * kernels::kColumns, quads_ * 4));
        std::memset(blocks_i8_.data(), 0, blocks_i8_.size());
        std::memset(columns_.data(), 0, columns_.size());
    }
    blocks_f32_ = Buffer<float>(checked_product(padded_, rows.dim));
    std::fill_n(blocks_f32_.data(), blocks_f32_.size(), 0.0F);
    starts_.assign(read, 0);
    steps_.assign(read, 0.0F);
    offsets_.assign(read, 0.0F);
    errors_i8_.assign(read);
    errors_f32_.assign(read);
    parallel_for(groups_of(padded_, kCentroidsPerTask), threads, [&](std::size_t task) {
        const std::size_t end = std::min(padded_, (task + 1) * kCentroidsPerTask);
        for (std::size_t c = task * kCentroidsPerTask; c < end; ++c) derive(c);
    });
    gather_groups();
    const double radius = *std::max_element(radii_.begin(), radii_.end());
    reach_ = center.norm + radius;
    scannable_ = reach_ <= kLargestRadius && dim() <= kMostFloatDims;
}

// Places past the last centroid hold copies of it.
void Centroids::derive(std::size_t c) {
    const float* row = scored_.rows.row(std::min(c, size() - 1));
    std::vector<double> s(exact_width(dim()));
    widen_query(row, dim(), s.data());
    lengths_[c] = norm(table_, s.data(), row, dim());
    const double scale = scored_.metric == Metric::kCosine ? 1.0 / lengths_[c] : 1.0;
    double square = 0;
    for (std::size_t j = 0; j < dim(); ++j) {
        s[j] = s[j] * scale - center_.wide[j];
        square += s[j] * s[j];
    }
    const double radius = std::sqrt(square) * kUp;
    const double offset = scored_.metric == Metric::kL2 ? square / 2 : 0.0;
    radii_[c] = radius;
    if (!(radius <= kLargestRadius)) return;

    const std::size_t block = table_.f32_query_block;
    float* to = blocks_f32_.data() + c / block * block * dim() + c % block;
    for (std::size_t j = 0; j < dim(); ++j) to[j * block] = static_cast<float>(s[j]);
    const double width = static_cast<double>(dim()) + 48;
    const double sum_rounding = width * kUnit * kMargin;
    offsets_[c] = static_cast<float>(-offset);
    // 1 / |y| is off by what grows with the width.
    const double unsure = scored_.metric == Metric::kCosine ? kLengthRounding * width : 0.0;
    errors_f32_.per_length[c] = round_up(sum_rounding * radius + unsure);
    errors_f32_.per_unit[c] = round_up(sum_rounding * offset + width * 0x1p-108);
    if (has_codes_) code(c, s);
}

void Centroids::code(std::size_t c, const std::vector<double>& s) {
    double largest = 0;
    for (const double x : s) largest = std::max(largest, std::fabs(x));
    const double limit = table_.i8_query_limit;
    // Not smaller than what keeps all products normal; a larger step only codes more coarsely.
    const auto step = static_cast<float>(largest > 0 ? std::max(largest / limit, 0x1p-60) : 1.0);
    const kernels::RowPlace place = table_.nearest_i8_layout.place(c, padded_, quads_);
    const std::size_t in_group = table_.nearest_i8_group;
    std::int8_t* columns =
        columns_.data() + (c / in_group * quads_ * kernels::kColumns + c % in_group) * 4;
    std::int32_t sum = 0;
    double coded = 0;
    double missed = 0;
    for (std::size_t j = 0; j < dim(); ++j) {
        const double g = std::clamp(std::nearbyint(s[j] / step), -limit, limit);
        const double value = g * step;
        coded += value * value;
        missed += (s[j] - value) * (s[j] - value);
        const auto code = static_cast<std::int8_t>(g);
        sum += code;
        blocks_i8_[place.at(j)] = code;
        columns[j / 4 * kernels::kColumns * 4 + j % 4] = code;
    }
    starts_[c] = -table_.i8_code_offset * sum;
    steps_[c] = step;
    const double code_length = std::sqrt(coded) * kUp;
    const double unsure = scored_.metric == Metric::kCosine
                              ? kLengthRounding * (static_cast<double>(dim()) + 48)
                              : 0.0;
    const double miss = std::sqrt(missed) * kUp + 0x1p-50 * code_length + unsure;
    const double offset = std::fabs(static_cast<double>(offsets_[c]));
    errors_i8_.per_miss[c] = round_up(code_length * kMargin);
    errors_i8_.per_length[c] = round_up((miss + kValueRounding * code_length) * kMargin);
    errors_i8_.per_unit[c] = round_up(kValueRounding * offset * kMargin + 0x1p-88);
}

void Centroids::gather_groups() {
    group_errors_i8_.assign(groups_i8_);
    group_errors_f32_.assign(groups_f32_);
    for (std::size_t c = 0; c < size(); ++c) {
        group_errors_i8_.raise(c / table_.nearest_i8_group, errors_i8_, c);
        group_errors_f32_.raise(c / table_.nearest_f32_group, errors_f32_, c);
    }
}

void Centroids::fill(kernels::NearestI8& scan) const {
    scan.n_quads = quads_;
    scan.centroids = blocks_i8_.data();
    scan.starts = starts_.data();
    scan.steps = steps_.data();
    scan.offsets = offsets_.data();
    scan.n_groups = groups_i8_;
    scan.groups = group_errors_i8_.terms();
}

void Centroids::fill(kernels::SelectI8& select) const {
    select.columns = columns_.data();
    select.n_centroids = size();
    select.centroids = errors_i8_.terms();
}

void Centroids::fill(kernels::NearestF32& scan) const {
    scan.dim = dim();
    scan.centroids = blocks_f32_.data();
    scan.offsets = offsets_.data();
    scan.n_groups = groups_f32_;
    scan.groups = group_errors_f32_.terms();
}

}  // namespace vecrecall::cluster
