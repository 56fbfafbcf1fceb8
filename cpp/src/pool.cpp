#include "vecrecall/pool.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/registry.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// Row numbers to prefetch while a bag is summed: about ten memory latencies of work.
constexpr std::size_t kAhead = 24;

// One thread's pass over a run of bags.
class Bags {
  public:
    Bags(const kernels::KernelTable& kernel, const MatrixView& table,
         const RaggedView<std::int64_t>& bags, const PoolOptions& options)
        : kernel_(kernel), table_(table), bags_(bags), options_(options), sums_(table.dim) {}

    void pool(std::size_t first, std::size_t end, float* out) {
        for (std::size_t b = first; b < end; ++b) {
            gather(b);
            gather_ahead(b, end);
            combine();
            check_finite();
            finish(out + b * table_.dim);
        }
    }

  private:
    void gather(std::size_t bag) {
        rows_.clear();
        weights_.clear();
        const auto limit = static_cast<std::size_t>(options_.first);
        for (std::int64_t i = bags_.offsets[bag]; i < bags_.offsets[bag + 1]; ++i) {
            if (options_.first >= 0 && rows_.size() == limit) break;
            const std::int64_t row = bags_.values[i];
            if (row == -1) continue;
            if (row < -1 || row >= static_cast<std::int64_t>(table_.rows)) {
                throw std::out_of_range("rows: expected -1 or a row of the table (0 to " +
                                        std::to_string(table_.rows) + " - 1), got " +
                                        std::to_string(row) + " in bag " + std::to_string(bag));
            }
            rows_.push_back(row);
            if (options_.weights) weights_.push_back(options_.weights[i]);
        }
    }

    void gather_ahead(std::size_t bag, std::size_t end) {
        ahead_.clear();
        const std::int64_t last = bags_.offsets[end];
        for (std::int64_t i = bags_.offsets[bag + 1]; i < last && ahead_.size() < kAhead; ++i) {
            const std::int64_t row = bags_.values[i];
            if (row >= 0 && row < static_cast<std::int64_t>(table_.rows)) ahead_.push_back(row);
        }
    }

    void combine() {
        if (options_.mode == Pooling::kMax) {
            combine_max();
            return;
        }
        kernel_.pool_sum({.table = table_.data,
                          .dim = table_.dim,
                          .rows = rows_.data(),
                          .weights = options_.weights ? weights_.data() : nullptr,
                          .n_rows = rows_.size(),
                          .ahead = ahead_.data(),
                          .n_ahead = ahead_.size(),
                          .sums = sums_.data()});
        if (options_.mode == Pooling::kMean) divide_by_weight();
    }

    void divide_by_weight() {
        double total = options_.weights ? 0.0 : static_cast<double>(rows_.size());
        for (const double w : weights_) total += w;
        for (double& sum : sums_) sum = total == 0 ? 0.0 : sum / total;
    }

    void combine_max() {
        std::fill(sums_.begin(), sums_.end(), 0.0);
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            const float* row = table_.row(static_cast<std::size_t>(rows_[i]));
            for (std::size_t j = 0; j < table_.dim; ++j) {
                const double x = row[j];
                sums_[j] = i == 0 || x > sums_[j] || std::isnan(x) ? x : sums_[j];
            }
        }
    }

    // Sums of finite floats and weights are finite, so only a bad row or weights beyond all bounds
    // can fail here: looking at results costs less than looking at rows. A maximum is looked at row
    // by row, since it may hide an infinity.
    void check_finite() const {
        const bool finite =
            options_.mode != Pooling::kMax &&
            std::all_of(sums_.begin(), sums_.end(), [](double s) { return std::isfinite(s); });
        if (finite) return;
        for (const std::int64_t row : rows_) {
            const float* x = table_.row(static_cast<std::size_t>(row));
            if (std::all_of(x, x + table_.dim, [](float v) { return std::isfinite(v); })) continue;
            throw std::invalid_argument(
                "table: expected finite values, got NaN or infinity in row " + std::to_string(row));
        }
        if (options_.mode != Pooling::kMax) {
            throw std::invalid_argument("weights: expected sums within the range of float64");
        }
    }

    void finish(float* out) {
        double scale = 1.0;
        if (options_.normalize) {
            const double length = length_of_sums();
            if (length > 0) scale = length;
        }
        for (std::size_t j = 0; j < table_.dim; ++j) {
            out[j] = static_cast<float>(sums_[j] / scale);
        }
    }

    // The Euclidean length, eight accumulators as in the scores.
    double length_of_sums() const {
        double a[8] = {};
        for (std::size_t j = 0; j < table_.dim; ++j) a[j % 8] += sums_[j] * sums_[j];
        return std::sqrt(((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])));
    }

    const kernels::KernelTable& kernel_;
    const MatrixView& table_;
    const RaggedView<std::int64_t>& bags_;
    const PoolOptions& options_;
    std::vector<double> sums_;
    std::vector<double> weights_;
    std::vector<std::int64_t> rows_;
    std::vector<std::int64_t> ahead_;
};

}  // namespace

void pool(const MatrixView& table, const RaggedView<std::int64_t>& bags, const PoolOptions& options,
          float* out) {
    constexpr std::size_t kPerTask = 256;
    const kernels::KernelTable& kernel = kernels::active();
    parallel_for((bags.rows + kPerTask - 1) / kPerTask, options.threads, [&](std::size_t task) {
        Bags(kernel, table, bags, options)
            .pool(task * kPerTask, std::min(bags.rows, (task + 1) * kPerTask), out);
    });
}

}  // namespace vecrecall
