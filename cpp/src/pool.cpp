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

// Rows fetched ahead of the sum: enough to hide a memory access, not more than can be under way.
constexpr std::int64_t kAhead = 24;

constexpr std::size_t kBagsPerTask = 256;

std::size_t tasks_for(const RaggedView<std::int64_t>& bags) {
    return (bags.rows + kBagsPerTask - 1) / kBagsPerTask;
}

// Before anything is read: the first row number that is not -1 and not of the table.
void check_rows(const MatrixView& table, const RaggedView<std::int64_t>& bags, int threads) {
    const auto most = static_cast<std::uint64_t>(table.rows);
    const auto beyond = [&](std::int64_t row) {
        return static_cast<std::uint64_t>(row) + 1 > most;
    };
    parallel_for(tasks_for(bags), threads, [&](std::size_t task) {
        const std::size_t last = std::min(bags.rows, (task + 1) * kBagsPerTask);
        const std::int64_t* const end = bags.values + bags.offsets[last];
        const std::int64_t* const bad = std::find_if(bags.begin(task * kBagsPerTask), end, beyond);
        if (bad == end) return;
        throw std::out_of_range("rows: expected -1 or a row of the table, 0 to " +
                                std::to_string(static_cast<std::int64_t>(table.rows) - 1) +
                                ", got " + std::to_string(*bad));
    });
}

// One thread's pass over a run of bags.
class Bags {
  public:
    Bags(const kernels::KernelTable& kernel, const MatrixView& table,
         const RaggedView<std::int64_t>& bags, const PoolOptions& options)
        : kernel_(kernel), table_(table), bags_(bags), options_(options), sums_(table.dim) {}

    void pool(std::size_t first, std::size_t end, float* out) {
        for (std::size_t b = first; b < end; ++b) {
            gather(b);
            if (options_.mode == Pooling::kMax) combine_max();
            else combine_sum(b);
            check_finite();
            if (options_.mode == Pooling::kMean) divide_by_weight();
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
            if (bags_.values[i] < 0) continue;
            rows_.push_back(bags_.values[i]);
            if (options_.weights) weights_.push_back(options_.weights[i]);
        }
    }

    void combine_sum(std::size_t bag) {
        const std::int64_t ahead = bags_.offsets[bag] + kAhead;
        const std::int64_t left = bags_.offsets[bags_.rows] - ahead;
        kernel_.pool_sum({.table = table_.data,
                          .dim = table_.dim,
                          .rows = rows_.data(),
                          .weights = options_.weights ? weights_.data() : nullptr,
                          .n_rows = rows_.size(),
                          .ahead = left > 0 ? bags_.values + ahead : nullptr,
                          .n_ahead = left > 0 ? static_cast<std::size_t>(left) : 0,
                          .sums = sums_.data()});
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
        double zero = 0;
        for (const double sum : sums_) zero += sum * 0.0;  // NaN from NaN or an infinity
        if (options_.mode != Pooling::kMax && zero == 0) return;
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
        if (options_.normalize) normalise();
        for (std::size_t j = 0; j < table_.dim; ++j) out[j] = static_cast<float>(sums_[j]);
    }

    // Scaled by a power of two first, which rounds nothing: squares must not over- or underflow.
    void normalise() {
        double largest = 0;
        for (const double sum : sums_) largest = std::max(largest, std::fabs(sum));
        if (largest == 0) return;
        const int exponent = std::ilogb(largest);
        for (double& sum : sums_) sum = std::scalbn(sum, -exponent);
        double square = 0;
        for (const double sum : sums_) square += sum * sum;
        const double length = std::sqrt(square);
        for (double& sum : sums_) sum /= length;
    }

    const kernels::KernelTable& kernel_;
    const MatrixView& table_;
    const RaggedView<std::int64_t>& bags_;
    const PoolOptions& options_;
    std::vector<double> sums_;
    std::vector<double> weights_;
    std::vector<std::int64_t> rows_;
};

}  // namespace

void pool(const MatrixView& table, const RaggedView<std::int64_t>& bags, const PoolOptions& options,
          float* out) {
    check_rows(table, bags, options.threads);
    const kernels::KernelTable& kernel = kernels::active();
    parallel_for(tasks_for(bags), options.threads, [&](std::size_t task) {
        Bags(kernel, table, bags, options)
            .pool(task * kBagsPerTask, std::min(bags.rows, (task + 1) * kBagsPerTask), out);
    });
}

}  // namespace vecrecall
