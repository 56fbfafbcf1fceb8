#include "cluster/nearest.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cluster/bound.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::cluster {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// Pairs of a tile that codes may leave to be scored: about what the float32 scan would cost.
std::size_t room_for(std::size_t centroids, std::size_t m) {
    return kTile * std::max<std::size_t>(8 * m, centroids / 24);
}

// Tiles scanned in float32 before codes are tried again.
constexpr std::size_t kPatience = 15;

std::uint64_t first_bits(std::size_t n) {
    return n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
}

}  // namespace

Nearest::Nearest(const Centroids& centroids, std::size_t m)
    : table_(centroids.table()),
      centroids_(centroids),
      metric_(centroids.scored().metric),
      m_(m),
      highest_(std::max(centroids.groups_i8(), centroids.groups_f32()) * kTile),
      pairs_(room_for(centroids.size(), m)),
      sums_(std::max(pairs_.size(), kTile)),
      panels_(kTile * centroids.dim()),
      tile_(centroids.dim()) {}

std::size_t Nearest::find(const MatrixView& points, std::int32_t* labels, float* scores) {
    std::size_t nonfinite = points.rows;
    for (std::size_t first = 0; first < points.rows; first += kTile) {
        const std::size_t n = std::min(kTile, points.rows - first);
        find_tile(points.row(first), n, nullptr, labels + first * m_, scores + first * m_,
                  upcoming_tile(points, first + kTile));
        nonfinite = std::min(nonfinite, first + first_nonfinite());
    }
    return nonfinite;
}

// Of the tile at hand, or more than it has. NaN and infinities put a row out of the scan's range.
std::size_t Nearest::first_nonfinite() const {
    for (std::uint64_t rest = tile_.out_of_range_mask(); rest != 0; rest &= rest - 1) {
        const auto i = static_cast<std::size_t>(std::countr_zero(rest));
        const float* const row = rows_ + i * centroids_.dim();
        if (!std::all_of(row, row + centroids_.dim(), [](float x) { return std::isfinite(x); })) {
            return i;
        }
    }
    return std::numeric_limits<std::uint32_t>::max();
}

void Nearest::find_tile(const float* rows, std::size_t n_rows, const double* known,
                        std::int32_t* labels, float* scores,
                        const kernels::PrefetchRange& prefetch) {
    rows_ = rows;
    n_rows_ = n_rows;
    check_cancelled();
    live_ = first_bits(n_rows);
    known_ = known;
    upcoming_ = prefetch;
    for (std::size_t i = 0; i < n_rows * m_; ++i) labels_[i] = known ? labels[i] : -1;
    std::fill_n(scores_, kTile * m_, kNone);
    if (metric_ == Metric::kCosine) measure_lengths();
    pack();
    tile_.code(table_, panels_.data());
    // Every group vouches for one centroid: of fewer groups than m nothing is known.
    const bool enough = std::min(centroids_.groups_i8(), centroids_.groups_f32()) >= m_;
    const std::uint64_t scanned =
        centroids_.scannable() && enough ? live_ & ~tile_.out_of_range_mask() : 0;
    const std::uint64_t left = live_ & ~scanned;
    live_ = scanned;
    if (live_ != 0 && !(centroids_.has_codes() && scan_codes())) scan_floats();
    for (std::uint64_t rest = left; rest != 0; rest &= rest - 1) {
        score_all(static_cast<std::size_t>(std::countr_zero(rest)));
    }
    std::copy_n(labels_, n_rows * m_, labels);
    std::copy_n(scores_, n_rows * m_, scores);
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

// False where the codes let too much pass.
bool Nearest::scan_codes() {
    if (skip_codes_ > 0) {
        --skip_codes_;
        return false;
    }
    kernels::NearestI8 scan{.codes = tile_.codes(),
                            .points = tile_.terms(),
                            .reach = {highest_.data(), top_, top_groups_},
                            .prefetch = upcoming_};
    centroids_.fill(scan);
    table_.nearest_i8(scan);
    set_limits(scan, table_.nearest_i8_group);
    kernels::SelectI8 select{.scan = &scan,
                             .thresholds = thresholds_,
                             .live = live_,
                             .pairs = pairs_.data(),
                             .room = pairs_.size()};
    centroids_.fill(select);
    table_.select_i8(select);
    if (select.count > select.room) {
        skip_codes_ = kPatience;
        return false;
    }
    score_others(select.count);
    return true;
}

// Rows to float32 panels.
void Nearest::pack() {
    table_.pack_f32({.rows = rows_,
                     .n_rows = n_rows_,
                     .dim = centroids_.dim(),
                     .scales = nullptr,
                     .center = centroids_.point_center(),
                     .panels = panels_.data(),
                     .n_panels = kTile / kernels::kPanelItems});
}

void Nearest::scan_floats() {
    float ones[kTile];
    float zeros[kTile] = {};
    float lengths[kTile];
    const kernels::PointTerms terms = tile_.terms();
    for (std::size_t i = 0; i < kTile; ++i) {
        ones[i] = 1.0F;
        lengths[i] = round_up(terms.lengths[i] / static_cast<double>(terms.units[i]) * kMargin);
    }
    kernels::NearestF32 scan{.panels = panels_.data(),
                             .points = {ones, zeros, lengths},
                             .reach = {highest_.data(), top_, top_groups_},
                             .prefetch = upcoming_};
    centroids_.fill(scan);
    table_.nearest_f32(scan);
    set_limits(scan, table_.nearest_f32_group);
    score_groups();
}

// The value that a centroid must reach to be scored.
template <class Scan>
void Nearest::set_limits(const Scan& scan, std::size_t in_group) {
    if (m_ == 1) {
        set_tops(in_group);
        set_thresholds(scan.points);
        return;
    }
    float floors[kTile];
    find_floors(scan.points, scan.groups, scan.n_groups, floors);
    set_thresholds(scan.points, floors);
    std::fill_n(tops_of_, kTile, ~std::uint32_t{0});  // none has been scored
}

// One centroid of every point whose exact sum is known: others must reach it.
void Nearest::set_tops(std::size_t in_group) {
    if (!known_) {
        score_tops(in_group);
        return;
    }
    for (std::uint64_t rest = live_; rest != 0; rest &= rest - 1) {
        const auto i = static_cast<std::size_t>(std::countr_zero(rest));
        tops_of_[i] = static_cast<std::uint32_t>(labels_[i]);
        values_[i] = known_[i];
        scores_[i] = round_score(score_of(metric_, known_[i], 0, 0));
    }
}

// Of what looks nearest.
void Nearest::score_tops(std::size_t in_group) {
    std::size_t n = 0;
    for (std::uint64_t rest = live_; rest != 0; rest &= rest - 1) {
        const auto i = static_cast<std::uint32_t>(std::countr_zero(rest));
        const auto group = static_cast<std::size_t>(top_groups_[i]);
        const std::uint32_t tag = std::bit_cast<std::uint32_t>(top_[i]) & kernels::kInGroupBits;
        const std::size_t centroid = std::min(group * in_group + tag, centroids_.size() - 1);
        tops_[n++] = {i, static_cast<std::uint32_t>(centroid)};
        labels_[i] = -1;
        values_[i] = 0;
    }
    if (metric_ != Metric::kL2) {  // values lack x.mu
        kernels::Pair center[kTile];
        for (std::size_t i = 0; i < n; ++i) center[i] = {tops_[i].point, 0};
        table_.pair_products(
            {rows_, centroids_.center(), centroids_.dim(), center, n, sums_.data()});
        for (std::size_t i = 0; i < n; ++i) values_[tops_[i].point] = -sums_[i];
    }
    score_pairs(tops_, n);
    for (std::size_t i = 0; i < n; ++i) {
        const kernels::Pair pair = tops_[i];
        const double length = metric_ == Metric::kCosine ? centroids_.length(pair.centroid) : 1.0;
        values_[pair.point] += sums_[i] / length;
        tops_of_[pair.point] = pair.centroid;
    }
}

// From the exact sums of the tops to the values that others must reach, in the scan's units. A
// centroid whose score rounds to that of the top has a value less than a unit in the last place of
// the score below it: half of it under l2, where scores are 2 v - |r|^2. |score| is the sum itself
// (l2), at most |x| (|mu| + |s|) (ip), |x| after multiplication by |x| (cosine). All is taken at
// least twice: the rest covers what float64 rounds off the sums, and the rounding to float32 here.
void Nearest::set_thresholds(const kernels::PointTerms& points) {
    const double reach = metric_ == Metric::kIp ? centroids_.reach() : 1.0;
    const double shrink = 1 - 3 * (static_cast<double>(centroids_.dim()) + 48) * kUnit;
    for (std::size_t i = 0; i < kTile; ++i) {
        const double unit = points.units[i];
        const double length = points.lengths[i] / unit;
        double value = values_[i];
        double size = length * reach;
        if (metric_ == Metric::kL2) {  // v = (|r|^2 - |x - y|^2) / 2
            size = value;
            const double least = length * shrink;
            value = (least * least - value) / 2;
        }
        const double slack = 0x1p-22 * (size + std::fabs(value));
        thresholds_[i] = static_cast<float>((value - slack) * unit);
    }
}

// The highest value of a group lies between what the scan gives as its upper end and twice the
// error below: the m-th of these lower ends is one that m centroids reach. The error is taken a
// little larger for its own rounding.
void Nearest::find_floors(const kernels::PointTerms& points, const kernels::ErrorTerms& groups,
                          std::size_t n_groups, float* floors) const {
    float best[kMostNearest][kTile];
    for (std::size_t r = 0; r < m_; ++r) std::fill_n(best[r], kTile, kNone);
    for (std::size_t g = 0; g < n_groups; ++g) {
        const float* const highest = highest_.data() + g * kTile;
        float low[kTile];
        for (std::size_t i = 0; i < kTile; ++i) {
            const float error = groups.per_miss[g] * points.misses[i] +
                                groups.per_length[g] * points.lengths[i] +
                                groups.per_unit[g] * points.units[i];
            low[i] = highest[i] - 2.001F * error;
        }
        for (std::size_t r = 0; r < m_; ++r) {
            for (std::size_t i = 0; i < kTile; ++i) {
                const float kept = best[r][i];
                best[r][i] = low[i] > kept ? low[i] : kept;
                low[i] = low[i] > kept ? kept : low[i];
            }
        }
    }
    std::copy_n(best[m_ - 1], kTile, floors);
}

// As above, from a value that m centroids reach. |v| is at most the larger of |r|^2 and |x - y|^2
// (l2), else |x| (|mu| + |s|); everything is taken at least four times.
void Nearest::set_thresholds(const kernels::PointTerms& points, const float* floors) {
    for (std::size_t i = 0; i < kTile; ++i) {
        const double unit = points.units[i];
        const double length = points.lengths[i] / unit;
        const double value = floors[i] / unit;
        double size = metric_ == Metric::kIp ? length * centroids_.reach() : length;
        double most = length * centroids_.reach();
        if (metric_ == Metric::kL2) {
            size = std::max(0.0, length * length - 2 * value);
            most = std::max(size, length * length);
        }
        thresholds_[i] = static_cast<float>((value - 0x1p-21 * (size + most)) * unit);
    }
}

// Pairs other than those of the tops.
void Nearest::score_others(std::size_t n) {
    std::size_t others = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const kernels::Pair pair = pairs_[i];
        pairs_[others] = pair;
        others += pair.centroid != tops_of_[pair.point] ? 1 : 0;
    }
    score_pairs(pairs_.data(), others);
}

// Every centroid of the groups that reach a threshold.
void Nearest::score_groups() {
    const std::size_t in_group = table_.nearest_f32_group;
    std::size_t n = 0;
    for (std::size_t g = 0; g < centroids_.groups_f32(); ++g) {
        const std::size_t end = std::min(centroids_.size(), (g + 1) * in_group);
        for (std::uint64_t rest = live_; rest != 0; rest &= rest - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(rest));
            if (highest_[g * kTile + i] < thresholds_[i]) continue;
            for (std::size_t c = g * in_group; c < end; ++c) {
                pairs_[n++] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(c)};
            }
            if (n + in_group <= pairs_.size()) continue;
            score_others(n);
            n = 0;
        }
    }
    score_others(n);
}

// Leaves the exact sums behind.
void Nearest::score_pairs(const kernels::Pair* pairs, std::size_t n) {
    const kernels::SumPairs job{
        rows_, centroids_.scored().rows.data, centroids_.dim(), pairs, n, sums_.data()};
    if (metric_ == Metric::kL2) table_.pair_squared_differences(job);
    else table_.pair_products(job);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t point = pairs[i].point;
        const auto label = static_cast<std::int32_t>(pairs[i].centroid);
        const float score = round_score(
            score_of(metric_, sums_[i], lengths_[point], centroids_.length(pairs[i].centroid)));
        take(point, label, score);
    }
}

// Into its place among the m best.
void Nearest::take(std::size_t point, std::int32_t label, float score) {
    std::int32_t* const labels = labels_ + point * m_;
    float* const scores = scores_ + point * m_;
    const auto better_than = [&](std::size_t i) {
        return labels[i] < 0 || score > scores[i] || (score == scores[i] && label < labels[i]);
    };
    std::size_t place = m_;
    for (; place > 0 && better_than(place - 1); --place) {
        if (place == m_) continue;
        labels[place] = labels[place - 1];
        scores[place] = scores[place - 1];
    }
    if (place == m_) return;
    labels[place] = label;
    scores[place] = score;
}

void Nearest::score_all(std::size_t point) {
    check_cancelled();
    std::fill_n(labels_ + point * m_, m_, -1);
    for (std::size_t first = 0; first < centroids_.size(); first += pairs_.size()) {
        const std::size_t n = std::min(pairs_.size(), centroids_.size() - first);
        for (std::size_t i = 0; i < n; ++i) {
            pairs_[i] = {static_cast<std::uint32_t>(point), static_cast<std::uint32_t>(first + i)};
        }
        score_pairs(pairs_.data(), n);
    }
}

}  // namespace vecrecall::cluster
