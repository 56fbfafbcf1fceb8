#include "cluster/nearest.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cluster/bound.hpp"

namespace vecrecall::cluster {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// Pairs of a tile that codes may leave to be scored: about what the float32 scan would cost.
std::size_t room_for(std::size_t centroids) {
    return kTile * std::max<std::size_t>(8, centroids / 24);
}

// Tiles scanned in float32 before codes are tried again.
constexpr std::size_t kPatience = 15;

std::uint64_t first_bits(std::size_t n) {
    return n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
}

}  // namespace

Nearest::Nearest(const kernels::KernelTable& table, const Centroids& centroids,
                 const scan::Centre& centre)
    : table_(table),
      centroids_(centroids),
      centre_(centre),
      metric_(centroids.scored().metric),
      highest_(std::max(centroids.groups_i8(), centroids.groups_f32()) * kTile),
      pairs_(room_for(centroids.size()) + 1),
      sums_(pairs_.size()) {}

void Nearest::find(const MatrixView& points, std::int32_t* labels, float* scores) {
    CodedPoints coded(1, points.dim);
    for (std::size_t first = 0; first < points.rows; first += kTile) {
        const std::size_t n = std::min(kTile, points.rows - first);
        pack(points.row(first), n);
        coded.code(table_, 0, panels_.data());
        find_tile(points.row(first), n, coded, 0, labels + first,
                  scores ? scores + first : nullptr);
    }
}

void Nearest::find_tile(const float* rows, std::size_t n_rows, const CodedPoints& coded,
                        std::size_t tile, std::int32_t* labels, float* scores) {
    rows_ = rows;
    n_rows_ = n_rows;
    live_ = first_bits(n_rows);
    std::fill_n(labels_, kTile, -1);
    std::fill_n(scores_, kTile, kNone);
    if (metric_ == Metric::kCosine) measure_lengths();
    std::uint64_t scanned = centroids_.scannable() ? live_ & ~coded.wild(tile) : 0;
    const std::uint64_t left = live_ & ~scanned;
    live_ = scanned;
    if (live_ != 0 && !(centroids_.has_codes() && scan_codes(coded, tile, scores != nullptr))) {
        scan_floats(coded, tile);
    }
    for (std::uint64_t rest = left; rest != 0; rest &= rest - 1) {
        score_all(static_cast<std::size_t>(std::countr_zero(rest)));
    }
    std::copy_n(labels_, n_rows, labels);
    if (scores) std::copy_n(scores_, n_rows, scores);
}

// Points without a direction are out.
void Nearest::measure_lengths() {
    for (std::size_t i = 0; i < n_rows_; ++i) {
        kernels::Pair self{static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i)};
        double square = 0;
        table_.pair_products({rows_, rows_, centroids_.dim(), &self, 1, &square});
        lengths_[i] = std::sqrt(square);
        if (lengths_[i] == 0) live_ &= ~(std::uint64_t{1} << i);
    }
}

// False where the codes let too much pass: nothing is scored then.
bool Nearest::scan_codes(const CodedPoints& coded, std::size_t tile, bool score) {
    if (skip_codes_ > 0) {
        --skip_codes_;
        return false;
    }
    kernels::NearestI8 scan{.codes = coded.codes(tile),
                            .points = coded.terms(tile),
                            .reach = {highest_.data(), lowest_}};
    centroids_.fill(scan);
    table_.nearest_i8(scan);
    set_thresholds(scan.points);
    kernels::SelectI8 select{.scan = &scan,
                             .thresholds = thresholds_,
                             .live = live_,
                             .pairs = pairs_.data(),
                             .room = pairs_.size() - 1};
    centroids_.fill(select);
    table_.select_i8(select);
    if (select.count > select.room) {
        skip_codes_ = kPatience;
        return false;
    }
    if (!score) take_undisputed(select.count);
    else score_pairs(select.count);
    return true;
}

// Rows to float32 panels.
void Nearest::pack(const float* rows, std::size_t n_rows) {
    panels_.resize(kTile * centroids_.dim());
    table_.pack_f32({.rows = rows,
                     .n_rows = n_rows,
                     .dim = centroids_.dim(),
                     .scales = nullptr,
                     .centre = centre_.narrow.data(),
                     .panels = panels_.data(),
                     .n_panels = kTile / kernels::kPanelItems});
}

// Every centroid of the groups that reach the threshold is scored.
void Nearest::scan_floats(const CodedPoints& coded, std::size_t tile) {
    pack(rows_, n_rows_);
    float ones[kTile];
    float zeros[kTile] = {};
    float lengths[kTile];
    const kernels::PointTerms terms = coded.terms(tile);
    for (std::size_t i = 0; i < kTile; ++i) {
        ones[i] = 1.0F;
        lengths[i] = round_up(terms.lengths[i] / static_cast<double>(terms.units[i]) * kMargin);
    }
    kernels::NearestF32 scan{.panels = panels_.data(),
                             .points = {ones, zeros, lengths},
                             .reach = {highest_.data(), lowest_}};
    centroids_.fill(scan);
    table_.nearest_f32(scan);
    set_thresholds(scan.points);
    std::size_t n = 0;
    for (std::size_t g = 0; g < scan.n_groups; ++g) {
        for (std::uint64_t rest = live_; rest != 0; rest &= rest - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(rest));
            if (highest_[g * kTile + i] < thresholds_[i]) continue;
            const std::size_t first = g * table_.nearest_f32_group;
            const std::size_t end = std::min(centroids_.size(), first + table_.nearest_f32_group);
            for (std::size_t c = first; c < end; ++c) {
                if (n + 1 == pairs_.size()) {
                    score_pairs(n);
                    n = 0;
                }
                pairs_[n++] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(c)};
            }
        }
    }
    score_pairs(n);
}

// A centroid whose score rounds to that of the best has a value less than a unit in the last place
// of the score below it, in units of the value: half of it under l2, where scores are 2 v - |r|^2.
// |score| is at most |r|^2 + 2 |v| (l2), |x| (|mu| + |s|) (ip), |x| after multiplication by |x|
// (cosine). All is taken twice: the other half covers the float64 rounding of the scores themselves
// and the float32 rounding here.
void Nearest::set_thresholds(const kernels::PointTerms& points) {
    const double reach = metric_ == Metric::kIp ? centroids_.reach() : 1.0;
    for (std::size_t i = 0; i < kTile; ++i) {
        const double length = points.lengths[i];
        const double size =
            metric_ == Metric::kL2 ? length * length / points.units[i] / 2 : length * reach;
        const double slack = 0x1p-22 * (size + std::fabs(lowest_[i]));
        thresholds_[i] = static_cast<float>(lowest_[i] - slack);
    }
}

// Points with one pair need no score; the others' pairs are scored.
void Nearest::take_undisputed(std::size_t n) {
    std::uint8_t pairs_of[kTile] = {};
    for (std::size_t i = 0; i < n; ++i) {
        std::uint8_t& count = pairs_of[pairs_[i].point];
        count = count > 1 ? 2 : static_cast<std::uint8_t>(count + 1);
    }
    std::size_t disputed = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const kernels::Pair pair = pairs_[i];
        if (pairs_of[pair.point] == 1) {
            labels_[pair.point] = static_cast<std::int32_t>(pair.centroid);
        } else {
            pairs_[disputed++] = pair;
        }
    }
    score_pairs(disputed);
}

// Pairs of a point come by centroid, so the first of equals stays.
void Nearest::score_pairs(std::size_t n) {
    const kernels::SumPairs job{
        rows_, centroids_.scored().rows.data, centroids_.dim(), pairs_.data(), n, sums_.data()};
    if (metric_ == Metric::kL2) table_.pair_squared_differences(job);
    else table_.pair_products(job);
    for (std::size_t i = 0; i < n; ++i) {
        const kernels::Pair pair = pairs_[i];
        const float score = round_score(
            score_of(metric_, sums_[i], lengths_[pair.point], centroids_.length(pair.centroid)));
        if (labels_[pair.point] < 0 || score > scores_[pair.point]) {
            labels_[pair.point] = static_cast<std::int32_t>(pair.centroid);
            scores_[pair.point] = score;
        }
    }
}

void Nearest::score_all(std::size_t point) {
    for (std::size_t first = 0; first < centroids_.size(); first += pairs_.size()) {
        const std::size_t n = std::min(pairs_.size(), centroids_.size() - first);
        for (std::size_t i = 0; i < n; ++i) {
            pairs_[i] = {static_cast<std::uint32_t>(point), static_cast<std::uint32_t>(first + i)};
        }
        score_pairs(n);
    }
}

}  // namespace vecrecall::cluster
