#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/finite.hpp"
#include "core/scoring.hpp"
#include "kernels/registry.hpp"
#include "platform/fp_env.hpp"
#include "vecrecall/kmeans.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

constexpr std::size_t kChunk = 2048;

// How far every row is from the nearest row drawn so far, times its weight.
class Distances {
  public:
    Distances(const RowsView& points, const double* weights, Metric metric, int threads)
        : items_{.rows = points, .bias = nullptr, .metric = metric},
          weights_(weights),
          threads_(threads),
          far_(points.rows, 1.0),
          drawn_(points.rows, 0),
          chunks_((points.rows + kChunk - 1) / kChunk),
          totals_(chunks_, 0.0) {
        if (weights != nullptr) far_.assign(weights, weights + points.rows);
        if (metric == Metric::kCosine) leave_out_zeros();
    }

    std::size_t left() const {
        return static_cast<std::size_t>(std::count(drawn_.begin(), drawn_.end(), 0));
    }

    // The row where the running total of distances passes the share `draw` of all.
    std::size_t draw(double share) const {
        double total = 0;
        for (const double t : totals_) total += t;
        if (!(total > 0)) return lowest();
        double passed = share * total;
        std::size_t last = drawn_.size();
        for (std::size_t chunk = 0; chunk < chunks_; ++chunk) {
            if (passed >= totals_[chunk] && chunk + 1 < chunks_) {
                passed -= totals_[chunk];
                continue;
            }
            for (std::size_t i = chunk * kChunk; i < end_of(chunk); ++i) {
                if (!(far_[i] > 0) || drawn_[i]) continue;
                last = i;
                if (passed < far_[i]) return i;
                passed -= far_[i];
            }
            passed = 0;  // rounding went past the chunk: its last, or the next one's first
            if (last != drawn_.size()) return last;
        }
        return last_positive();
    }

    // Of several rows takes the one that leaves the least distance in all, the first of equals.
    std::size_t take_best(const std::vector<std::size_t>& rows, bool first) {
        std::size_t best = 0;
        double least = 0;
        for (std::size_t t = 0; t < rows.size(); ++t) {
            Left& now = t == 0 ? left_ : other_;
            measure(rows[t], first, now);
            double total = 0;
            for (const double x : now.totals) total += x;
            if (t > 0 && !(total < least)) continue;
            if (t > 0) std::swap(left_, other_);
            best = rows[t];
            least = total;
        }
        std::swap(far_, left_.far);
        std::swap(totals_, left_.totals);
        drawn_[best] = 1;
        return best;
    }

    // Before the first draw rows count by their weights alone.
    void start() {
        for (std::size_t chunk = 0; chunk < chunks_; ++chunk) {
            totals_[chunk] = 0;
            for (std::size_t i = chunk * kChunk; i < end_of(chunk); ++i) {
                if (!drawn_[i]) totals_[chunk] += far_[i];
            }
        }
    }

  private:
    std::size_t end_of(std::size_t chunk) const {
        return std::min(drawn_.size(), (chunk + 1) * kChunk);
    }
    std::size_t lowest() const {
        return static_cast<std::size_t>(std::find(drawn_.begin(), drawn_.end(), 0) -
                                        drawn_.begin());
    }
    std::size_t last_positive() const {
        for (std::size_t i = drawn_.size(); i-- > 0;) {
            if (far_[i] > 0 && !drawn_[i]) return i;
        }
        return lowest();
    }
    // The inertia that a draw would leave.
    struct Left {
        std::vector<double> far;
        std::vector<double> totals;
    };

    void measure(std::size_t row, bool first, Left& left) const {
        const kernels::KernelTable& table = kernels::active();
        left.far.resize(far_.size());
        left.totals.resize(chunks_);
        std::vector<double> query(exact_width(items_.rows.dim));
        widen_query(items_.rows.row(row), items_.rows.dim, query.data());
        const double length = norm(table, query.data(), items_.rows.row(row), items_.rows.dim);
        parallel_for(chunks_, threads_, [&](std::size_t chunk) {
            std::uint32_t rows[kChunk];
            float scores[kChunk];
            const std::size_t from = chunk * kChunk;
            const std::size_t n = end_of(chunk) - from;
            for (std::size_t i = 0; i < n; ++i) rows[i] = static_cast<std::uint32_t>(from + i);
            score_rows(table, items_, query.data(), length, rows, n, scores);
            left.totals[chunk] = lower(from, n, scores, row, first, left.far.data() + from);
        });
    }

    double lower(std::size_t from, std::size_t n, const float* scores, std::size_t row, bool first,
                 double* far) const {
        const double best = items_.metric == Metric::kCosine ? 1.0 : 0.0;
        double total = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const double weight = weights_ == nullptr ? 1.0 : weights_[from + i];
            const double distance = weight * std::max(0.0, best - scores[i]);
            const bool gone = drawn_[from + i] != 0 || from + i == row;
            far[i] = gone ? 0.0 : first ? distance : std::min(far_[from + i], distance);
            total += far[i];
        }
        return total;
    }
    void leave_out_zeros() {
        for (std::size_t i = 0; i < drawn_.size(); ++i) {
            drawn_[i] = all_zero(items_.rows.row(i), items_.rows.dim) ? 1 : 0;
        }
    }

    ScoredItems items_;
    const double* weights_;  // or null
    int threads_;
    std::vector<double> far_;
    std::vector<char> drawn_;  // or left out
    std::size_t chunks_;
    std::vector<double> totals_;
    Left left_;
    Left other_;
};

}  // namespace

void plus_plus(const RowsView& points, const double* weights, const double* draws, std::size_t k,
               std::size_t trials, Metric metric, std::int64_t* rows, int threads) {
    const FpEnvScope env;
    Distances distances(points, weights, metric, threads);
    if (distances.left() < k) throw std::invalid_argument("expected at least k rows to draw from");
    distances.start();
    for (std::size_t c = 0; c < k; ++c) {
        std::vector<std::size_t> drawn(c == 0 ? 1 : trials);
        for (std::size_t t = 0; t < drawn.size(); ++t) {
            drawn[t] = distances.draw(draws[c * trials + t]);
        }
        rows[c] = static_cast<std::int64_t>(distances.take_best(drawn, c == 0));
    }
}

}  // namespace vecrecall
