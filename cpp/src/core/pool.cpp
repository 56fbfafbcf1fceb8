#include "vecrecall/pool.hpp"

#include <algorithm>
#include <cmath>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/finite.hpp"
#include "core/pooling.hpp"
#include "kernels/registry.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// Bags and entries together: many enough that what is fetched ahead for a task of another thread
// does not count, few enough that bags of very different lengths keep all threads busy.
constexpr std::size_t kTask = 4096;

// Bytes of a table whose rows are in a core's own cache anyway: to fetch them takes longer than to
// add them up.
constexpr std::size_t kCached = std::size_t{1} << 20;

std::size_t before(const RaggedView<std::int64_t>& bags, std::size_t bag) {
    return bag + static_cast<std::size_t>(bags.offsets[bag] - bags.offsets[0]);
}

std::size_t tasks_for(const RaggedView<std::int64_t>& bags) {
    return (before(bags, bags.rows) + kTask - 1) / kTask;
}

// The first bag of a task: with that after the last, each is in one.
std::size_t first_bag(const RaggedView<std::int64_t>& bags, std::size_t task) {
    const auto all = std::views::iota(std::size_t{0}, bags.rows);
    const auto earlier = [&](std::size_t bag) { return before(bags, bag) < task * kTask; };
    return static_cast<std::size_t>(std::ranges::partition_point(all, earlier) - all.begin());
}

// Before anything is read: the first row number that is not -1 and not of the table.
void check_rows(const RowsView& table, const RaggedView<std::int64_t>& bags, int threads) {
    const auto most = static_cast<std::uint64_t>(table.rows);
    const auto beyond = [&](std::int64_t row) {
        return static_cast<std::uint64_t>(row) + 1 > most;
    };
    parallel_for(tasks_for(bags), threads, [&](std::size_t task) {
        const std::int64_t* const end = bags.values + bags.offsets[first_bag(bags, task + 1)];
        const auto bad = std::find_if(bags.begin(first_bag(bags, task)), end, beyond);
        if (bad == end) return;
        throw std::out_of_range("rows: expected -1 or a row of the table, 0 to " +
                                std::to_string(static_cast<std::int64_t>(table.rows) - 1) +
                                ", got " + std::to_string(*bad));
    });
}

// One thread's pass over a run of bags.
class Bags {
  public:
    Bags(const kernels::KernelTable& kernel, const RowsView& table,
         const RaggedView<std::int64_t>& bags, const PoolOptions& options)
        : kernel_(kernel), table_(table), bags_(bags), options_(options), sums_(table.dim) {}

    void pool(std::size_t first, std::size_t end, float* out) {
        for (std::size_t b = first; b < end; ++b) pool(b, out + b * table_.dim);
    }

  private:
    void pool(std::size_t bag, float* out) {
        gather(bag);
        if (!combine(bag, out)) throw_not_finite();
        if (options_.mode == Pooling::kMean) divide_by_weight();
        if (options_.normalize) normalize();
        if (wide()) std::copy(sums_.begin(), sums_.end(), out);
    }

    // Whether something happens to the sums before they are rounded.
    bool wide() const { return options_.mode == Pooling::kMean || options_.normalize; }

    // The valid entries of a bag: where they are, if they are all.
    void gather(std::size_t bag) {
        const std::int64_t begin = bags_.offsets[bag];
        const auto length = static_cast<std::size_t>(bags_.offsets[bag + 1] - begin);
        const std::int64_t* const rows = bags_.values + begin;
        std::int64_t all = 0;
        for (std::size_t i = 0; i < length; ++i) all |= rows[i];
        const auto most = static_cast<std::size_t>(options_.first);  // -1: more than any
        if (all >= 0) {
            rows_ = {rows, std::min(length, most)};
            weights_ = options_.weights ? options_.weights + begin : nullptr;
            return;
        }
        valid_rows_.clear();
        valid_weights_.clear();
        for (std::size_t i = 0; i < length && valid_rows_.size() < most; ++i) {
            if (rows[i] < 0) continue;
            valid_rows_.push_back(rows[i]);
            if (options_.weights) valid_weights_.push_back(options_.weights[begin + i]);
        }
        rows_ = valid_rows_;
        weights_ = options_.weights ? valid_weights_.data() : nullptr;
    }

    bool combine(std::size_t bag, float* out) {
        const std::int64_t* const begin = bags_.begin(bag);
        const std::int64_t* const end = bags_.values + bags_.offsets[bags_.rows];
        const bool cached = table_.rows * table_.dim * value_size(table_.type) <= kCached;
        const auto kernel = options_.mode == Pooling::kMax ? kernel_.pool_max : kernel_.pool_sum;
        return combine_bag(kernel, {.table = table_.row(0),
                                    .dim = table_.dim,
                                    .rows = rows_.data(),
                                    .weights = weights_,
                                    .n_rows = rows_.size(),
                                    .entries = begin,
                                    .n_entries = cached ? 0 : static_cast<std::size_t>(end - begin),
                                    .out = wide() ? nullptr : out,
                                    .sums = wide() ? sums_.data() : nullptr});
    }

    void divide_by_weight() {
        double total = weights_ ? 0.0 : static_cast<double>(rows_.size());
        for (std::size_t i = 0; weights_ && i < rows_.size(); ++i) total += weights_[i];
        for (double& sum : sums_) sum = total == 0 ? 0.0 : sum / total;
    }

    // Sums of finite floats and weights are finite, so only a bad row or weights beyond all bounds
    // lead here: looking at results costs less than looking at rows.
    [[noreturn]] void throw_not_finite() const {
        for (const std::int64_t row : rows_) {
            if (all_finite(table_.row(static_cast<std::size_t>(row)), table_.dim)) continue;
            throw std::invalid_argument(
                "table: expected finite values, got NaN or infinity in row " + std::to_string(row));
        }
        throw std::invalid_argument("weights: expected sums within the range of float64");
    }

    // Scaled by a power of two first, which rounds nothing: squares must not over- or underflow.
    void normalize() {
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
    const RowsView& table_;
    const RaggedView<std::int64_t>& bags_;
    const PoolOptions& options_;
    std::vector<double> sums_;
    std::span<const std::int64_t> rows_;  // of the bag at hand
    const double* weights_ = nullptr;
    std::vector<std::int64_t> valid_rows_;  // of a bag with others
    std::vector<double> valid_weights_;
};

}  // namespace

void pool(const RowsView& table, const RaggedView<std::int64_t>& bags, const PoolOptions& options,
          float* out) {
    check_rows(table, bags, options.threads);
    const kernels::KernelTable& kernel = kernels::active();
    parallel_for(tasks_for(bags), options.threads, [&](std::size_t task) {
        Bags(kernel, table, bags, options)
            .pool(first_bag(bags, task), first_bag(bags, task + 1), out);
    });
}

}  // namespace vecrecall
