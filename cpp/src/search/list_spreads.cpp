#include "search/list_spreads.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/scoring.hpp"
#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Of the products of a query of length one and a list's residuals, the best lie about so many
// standard deviations above zero.
constexpr double kDeviations = 2.5;

// Rows that stand for queries, and rows whose residuals they are multiplied with.
constexpr std::size_t kDirections = 128;
constexpr std::size_t kResiduals = 4096;

constexpr std::size_t kRowsATask = 4096;

constexpr double kMost = std::numeric_limits<float>::max();

double square(double x) { return x * x; }

class Residuals {
  public:
    Residuals(const Rows& rows, Metric metric, const MatrixView& centers,
              const std::int32_t* labels, int threads)
        : table_(kernels::active()),
          rows_(rows),
          metric_(metric),
          centers_(centers),
          labels_(labels),
          threads_(threads),
          wide_(centers.rows * exact_width(rows.dim())),
          norms_(centers.rows) {
        for (std::size_t list = 0; list < centers_.rows; ++list) {
            double* wide = wide_.data() + list * exact_width(dim());
            widen_query(centers_.row(list), dim(), wide);
            norms_[list] = norm(table_, wide, centers_.row(list), dim());
        }
    }

    std::vector<float> spreads() const {
        const std::vector<double> lengths = all_lengths();
        std::vector<double> longest(centers_.rows, 0.0);
        std::vector<std::size_t> sizes(centers_.rows, 0);
        for_listed([&](std::size_t i, std::size_t list) {
            longest[list] = std::max(longest[list], lengths[i]);
            ++sizes[list];
        });
        std::vector<double> powers(centers_.rows, 0.0);
        for_listed([&](std::size_t i, std::size_t list) {
            if (lengths[i] == 0) return;
            powers[list] += square(square(square(square(lengths[i] / longest[list]))));
        });
        const double share = kDeviations * share_along();
        std::vector<float> spreads(centers_.rows, 0.0F);
        for (std::size_t list = 0; list < spreads.size(); ++list) {
            if (longest[list] == 0) continue;
            // The 16th root of the mean: between the typical length and the longest.
            const double mean = powers[list] / static_cast<double>(sizes[list]);
            const double typical = std::sqrt(std::sqrt(std::sqrt(std::sqrt(mean))));
            spreads[list] = static_cast<float>(std::min(share * longest[list] * typical, kMost));
        }
        return spreads;
    }

  private:
    std::size_t dim() const { return rows_.dim(); }

    template <class Visit>
    void for_listed(Visit visit) const {
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            canceling::check_each(i);
            if (labels_[i] >= 0) visit(i, static_cast<std::size_t>(labels_[i]));
        }
    }

    // |x - c|, under cosine of both at length one.
    double length(std::size_t i) const {
        if (labels_[i] < 0) return 0.0;
        const auto list = static_cast<std::size_t>(labels_[i]);
        const double* center = wide_.data() + list * exact_width(dim());
        double sum = 0;
        if (metric_ == Metric::kCosine) {
            double own = 0;
            table_.sum_products_and_squares(center, rows_.row(i), dim(), nullptr, 1, &sum, &own);
            const double cosine = score_of(metric_, sum, norms_[list], std::sqrt(own));
            return std::isfinite(cosine) ? std::sqrt(2 * (1 - std::min(cosine, 1.0))) : 0.0;
        }
        table_.sum_squared_differences(center, rows_.row(i), dim(), nullptr, 1, &sum);
        return std::sqrt(sum);
    }

    std::vector<double> all_lengths() const {
        std::vector<double> lengths(rows_.size());
        parallel_for((rows_.size() + kRowsATask - 1) / kRowsATask, threads_, [&](std::size_t task) {
            const std::size_t end = std::min(rows_.size(), (task + 1) * kRowsATask);
            for (std::size_t i = task * kRowsATask; i < end; ++i) {
                canceling::check_each(i);
                lengths[i] = length(i);
            }
        });
        return lengths;
    }

    // The root of the mean square of a residual's part along a row, of that of the residual.
    double share_along() const {
        const std::size_t n = std::min(kResiduals, rows_.size());
        std::vector<float> residuals;
        residuals.reserve(n * dim());
        double all = 0;
        for (std::size_t s = 0; s < n; ++s) {
            const std::size_t i = s * rows_.size() / n;
            if (labels_[i] >= 0) all += append_residual(i, residuals);
        }
        const std::size_t found = residuals.size() / dim();
        const std::size_t directions = std::min(kDirections, rows_.size());
        std::vector<double> parts(directions);
        parallel_for(directions, threads_, [&](std::size_t s) {
            parts[s] = along_row(s * rows_.size() / directions, residuals.data(), found);
        });
        double along = 0;
        for (const double part : parts) along += part;
        const double share = std::sqrt(along / (static_cast<double>(directions) * all));
        return std::isfinite(share) ? share : 0.0;  // not where rows are all alike, or differ by
                                                    // more than float32 holds
    }

    // Returns the square of its length.
    double append_residual(std::size_t i, std::vector<float>& to) const {
        std::vector<double> row(exact_width(dim()));
        widen_query(rows_.row(i), dim(), row.data());
        const auto list = static_cast<std::size_t>(labels_[i]);
        const double* center = wide_.data() + list * exact_width(dim());
        double unit = 1;
        double center_unit = 1;
        if (metric_ == Metric::kCosine) {
            unit = norm(table_, row.data(), rows_.row(i), dim());
            center_unit = norms_[list];
            if (unit == 0 || center_unit == 0) return 0;
        }
        double length = 0;
        for (std::size_t j = 0; j < dim(); ++j) {
            const auto r = static_cast<float>(row[j] / unit - center[j] / center_unit);
            to.push_back(r);
            length += square(r);
        }
        return length;
    }

    // The sum of the squares of the parts of residuals along a row.
    double along_row(std::size_t i, const float* residuals, std::size_t n) const {
        std::vector<double> row(exact_width(dim()));
        widen_query(rows_.row(i), dim(), row.data());
        const double length = norm(table_, row.data(), rows_.row(i), dim());
        if (length == 0) return 0;
        std::vector<double> products(n);
        table_.sum_products(row.data(), residuals, dim(), nullptr, n, products.data());
        double sum = 0;
        for (const double product : products) sum += square(product / length);
        return sum;
    }

    const kernels::KernelTable& table_;
    const Rows& rows_;
    Metric metric_;
    const MatrixView& centers_;
    const std::int32_t* labels_;
    int threads_;
    std::vector<double> wide_;  // the centers as the exact kernels read them
    std::vector<double> norms_;
};

}  // namespace

std::vector<float> list_spreads(const Rows& rows, Metric metric, const MatrixView& centers,
                                const std::int32_t* labels, int threads) {
    if (metric == Metric::kL2 || rows.size() == 0) return {};
    return Residuals(rows, metric, centers, labels, threads).spreads();
}

}  // namespace vecrecall::search
