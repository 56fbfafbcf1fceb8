#include "search/list_training.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"
#include "search/list_spreads.hpp"
#include "vecrecall/assign.hpp"
#include "vecrecall/kmeans.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kFewestItemsAList = 128;
constexpr std::size_t kSampleAList = 64;
constexpr std::size_t kIterations = 10;

// The numbers of rows, a whole word of them per list, stay far from 2^31.
constexpr std::size_t kMostLists = std::size_t{1} << 24;

// Times the average: a longer list is split.
constexpr std::size_t kLongest = 4;
constexpr std::size_t kShortestSplit = 4 * kernels::kWordItems;

// Rows that are copied together to be assigned.
constexpr std::size_t kChunk = 65536;

// Steps of progress: training takes about as long as assigning so many chunks.
constexpr std::size_t kTrainingSteps = kIterations;

// Random numbers that are the same everywhere.
class Draws {
  public:
    explicit Draws(std::uint64_t seed) : state_(seed) {}

    // Below n. SplitMix64 (Steele, Lea and Flood, 2014); the bias of the remainder does not matter.
    std::size_t below(std::size_t n) {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return static_cast<std::size_t>((z ^ (z >> 31)) % n);
    }

    // Different numbers below n, ascending: one of each of so many stretches of like length.
    std::vector<std::size_t> spread(std::size_t n, std::size_t count) {
        std::vector<std::size_t> drawn(count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t first = n * i / count;
            drawn[i] = first + below(n * (i + 1) / count - first);
        }
        return drawn;
    }

  private:
    std::uint64_t state_;
};

// A matrix of its own.
struct Matrix {
    std::vector<float> values;
    std::size_t dim;

    MatrixView view() const { return {values.data(), dim == 0 ? 0 : values.size() / dim, dim}; }
    void append(RowPointer row) {  // widened
        values.resize(values.size() + dim);
        kernels::active().widen(row, dim, values.data() + values.size() - dim);
    }
};

// The metric that k-means goes by: rows near to each other have codes of short residuals, whatever
// they are searched by.
Metric training_metric(Metric metric) {
    return metric == Metric::kCosine ? Metric::kCosine : Metric::kL2;
}

// Some rows, in float32.
Matrix take(const Rows& rows, const std::vector<std::size_t>& which) {
    Matrix taken{.values = {}, .dim = rows.dim()};
    taken.values.reserve(which.size() * rows.dim());
    for (const std::size_t i : which) taken.append(rows.row(i));
    return taken;
}

class ListBuilder {
  public:
    ListBuilder(const Source& source, Metric metric, const ListOptions& options,
                const BuildOptions& build, const BuildProgress& progress)
        : source_(source),
          metric_(metric),
          options_(options),
          build_(build),
          progress_(progress),
          centers_{.values = {}, .dim = source.rows.dim()},
          labels_(source.rows.size(), -1),
          steps_(kTrainingSteps + (size() + kChunk - 1) / kChunk + 1) {}

    std::shared_ptr<const Segment> run(const KnownLists* known) {
        const kernels::KernelTable& table = kernels::active();
        Center chosen = choose_center(table, source_.rows, metric_);
        chosen.direction.clear();  // a list's own center takes that part, and more, off its rows
        auto middle = std::make_shared<const Center>(std::move(chosen));
        if (known != nullptr) {
            centers_.values.assign(known->centers.data,
                                   known->centers.data + known->centers.rows * centers_.dim);
            std::copy_n(known->labels, size(), labels_.begin());
            advance(kTrainingSteps);
        } else if (size() > 0) {
            const std::size_t asked = options_.asked != 0 ? options_.asked : lists_for(size());
            centers_ = train(everything(), std::min({asked, size(), kMostLists}), true);
            options_.trained_for = size();
        }
        assign_rows();
        std::vector<float> spreads;
        if (known != nullptr && options_.trained_for == 0) {  // given, not trained
            count();
            const float* end = known->spreads.data + known->spreads.size;
            const bool some = std::any_of(known->spreads.data, end, [](float s) { return s > 0; });
            if (some) spreads.assign(known->spreads.data, end);
        } else {
            split_long();
            drop_empty();
            spreads = list_spreads(source_.rows, metric_, centers_.view(), labels_.data(),
                                   build_.threads);
        }
        auto lists = std::make_shared<const Lists>(centers_.view(), sizes_, std::move(spreads),
                                                   metric_, *middle, options_);
        BuildOptions copied = build_;
        copied.copy = true;
        auto segment = std::make_shared<const Segment>(source_, metric_, std::move(middle),
                                                       std::move(lists), order(), copied);
        advance(1);
        return segment;
    }

  private:
    std::size_t size() const { return source_.rows.size(); }
    void advance(std::size_t steps) {
        done_ += steps;
        if (progress_) progress_(std::min(done_, steps_), steps_);
    }
    std::vector<std::size_t> everything() const {
        std::vector<std::size_t> rows(size());
        std::iota(rows.begin(), rows.end(), std::size_t{0});
        return rows;
    }

    // k-means from rows drawn at random, on a sample of the rows given.
    Matrix train(const std::vector<std::size_t>& rows, std::size_t k, bool tell) {
        Draws draws(options_.seed);
        const std::size_t n = std::min(rows.size(), kSampleAList * k);
        std::vector<std::size_t> sample = draws.spread(rows.size(), n);
        for (std::size_t& i : sample) i = rows[i];
        const Matrix points = take(source_.rows, sample);
        Matrix centers{.values = {}, .dim = points.dim};
        for (const std::size_t i : draws.spread(n, k)) centers.append(points.view().row(i));
        if (metric_ == Metric::kCosine) normalize(centers);
        Lloyd lloyd(points.view(), training_metric(metric_), build_.threads);
        Matrix next = centers;
        for (std::size_t round = 0; round < kIterations; ++round) {
            check_cancelled();
            const LloydStep step = lloyd.step(centers.values.data(), k, next.values.data());
            centers.values.swap(next.values);
            if (tell) advance(1);
            if (step.relabeled == 0) {
                if (tell) advance(kIterations - round - 1);
                break;
            }
        }
        return centers;
    }

    static void normalize(Matrix& centers) {
        for (std::size_t i = 0; i < centers.view().rows; ++i) {
            float* row = centers.values.data() + i * centers.dim;
            double square = 0;
            for (std::size_t j = 0; j < centers.dim; ++j) {
                square += static_cast<double>(row[j]) * row[j];
            }
            const double length = std::sqrt(square);
            for (std::size_t j = 0; j < centers.dim && length > 0; ++j) {
                row[j] = static_cast<float>(row[j] / length);
            }
        }
    }

    // The nearest center for every row that has none.
    void assign_rows() {
        for (std::size_t first = 0; first < size(); first += kChunk) {
            std::vector<std::size_t> rows;
            for (std::size_t i = first; i < std::min(size(), first + kChunk); ++i) {
                if (labels_[i] < 0) rows.push_back(i);
            }
            assign_some(rows, centers_.view(), 0);
            advance(1);
        }
    }

    // Labels of some rows, counted from a number on.
    void assign_some(const std::vector<std::size_t>& rows, const MatrixView& centers,
                     std::size_t first_label) {
        if (rows.empty()) return;
        check_cancelled();
        const Matrix points = take(source_.rows, rows);
        std::vector<std::int32_t> labels(rows.size());
        std::vector<float> scores(rows.size());
        assign(points.view(), centers, training_metric(metric_), 1, labels.data(), scores.data(),
               build_.threads);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            // A row too short to have a direction in float64 goes with the first.
            const std::int32_t label = std::max(labels[i], 0);
            labels_[rows[i]] = label + static_cast<std::int32_t>(first_label);
        }
    }

    void count() {
        sizes_.assign(centers_.view().rows, 0);
        for (const std::int32_t label : labels_) ++sizes_[static_cast<std::size_t>(label)];
    }

    // Where lists are empty, as many are made of the others.
    std::size_t longest(std::size_t before) const {
        const auto empty = static_cast<std::size_t>(std::count(sizes_.begin(), sizes_.end(), 0U));
        const std::size_t lists = std::max({before, sizes_.size() - empty, std::size_t{1}});
        return std::max(kLongest * size() / lists, kShortestSplit);
    }

    // By k-means among its own rows; a part that stays too long, as of equal rows, is cut. More
    // lists are shorter on average, so that others may be too long then; each time there are more
    // lists, which ends it.
    void split_long() {
        count();
        const std::size_t before = centers_.view().rows;
        for (std::size_t most = longest(before); has_longer(most); most = longest(before)) {
            check_cancelled();
            for (const std::vector<std::size_t>& rows : rows_of_longer(most)) split(rows, most);
            count();
            for (const std::vector<std::size_t>& rows : rows_of_longer(most)) cut(rows, most);
            count();
        }
    }

    bool has_longer(std::size_t most) const {
        return std::any_of(sizes_.begin(), sizes_.end(),
                           [most](std::uint32_t size) { return size > most; });
    }

    void split(const std::vector<std::size_t>& rows, std::size_t most) {
        const Matrix parts = train(rows, (rows.size() * kLongest + most - 1) / most, false);
        const std::size_t first_label = centers_.view().rows;
        for (std::size_t from = 0; from < rows.size(); from += kChunk) {
            const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(from);
            const std::size_t n = std::min(kChunk, rows.size() - from);
            assign_some({begin, begin + static_cast<std::ptrdiff_t>(n)}, parts.view(), first_label);
        }
        centers_.values.insert(centers_.values.end(), parts.values.begin(), parts.values.end());
    }

    // Into runs of like length that share the center.
    void cut(const std::vector<std::size_t>& rows, std::size_t most) {
        const std::size_t runs = (rows.size() + most - 1) / most;
        const std::size_t length = (rows.size() + runs - 1) / runs;
        const float* own = centers_.view().row(static_cast<std::size_t>(labels_[rows[0]]));
        const std::vector<float> center(own, own + centers_.dim);
        for (std::size_t i = length; i < rows.size(); ++i) {
            if (i % length == 0) centers_.append(center.data());
            labels_[rows[i]] = static_cast<std::int32_t>(centers_.view().rows - 1);
        }
    }

    // Of each list that is longer than `most`, in their order.
    std::vector<std::vector<std::size_t>> rows_of_longer(std::size_t most) const {
        constexpr auto kShort = ~std::size_t{0};
        std::vector<std::size_t> places(sizes_.size(), kShort);
        std::vector<std::vector<std::size_t>> longer;
        for (std::size_t list = 0; list < sizes_.size(); ++list) {
            if (sizes_[list] <= most) continue;
            places[list] = longer.size();
            longer.emplace_back().reserve(sizes_[list]);
        }
        for (std::size_t i = 0; i < size() && !longer.empty(); ++i) {
            const std::size_t place = places[static_cast<std::size_t>(labels_[i])];
            if (place != kShort) longer[place].push_back(i);
        }
        return longer;
    }

    void drop_empty() {
        std::vector<std::int32_t> numbers(sizes_.size(), -1);
        std::vector<std::uint32_t> sizes;
        Matrix centers{.values = {}, .dim = centers_.dim};
        for (std::size_t list = 0; list < sizes_.size(); ++list) {
            if (sizes_[list] == 0) continue;
            numbers[list] = static_cast<std::int32_t>(sizes.size());
            sizes.push_back(sizes_[list]);
            centers.append(centers_.view().row(list));
        }
        for (std::int32_t& label : labels_) label = numbers[static_cast<std::size_t>(label)];
        sizes_ = std::move(sizes);
        centers_ = std::move(centers);
    }

    // List by list, within one as given.
    std::vector<std::uint32_t> order() const {
        std::vector<std::size_t> next(sizes_.size(), 0);
        for (std::size_t list = 1; list < sizes_.size(); ++list) {
            next[list] = next[list - 1] + sizes_[list - 1];
        }
        std::vector<std::uint32_t> order(size());
        for (std::size_t i = 0; i < size(); ++i) {
            order[next[static_cast<std::size_t>(labels_[i])]++] = static_cast<std::uint32_t>(i);
        }
        return order;
    }

    const Source& source_;
    Metric metric_;
    ListOptions options_;
    const BuildOptions& build_;
    const BuildProgress& progress_;
    Matrix centers_;
    std::vector<std::int32_t> labels_;
    std::vector<std::uint32_t> sizes_;
    std::size_t steps_;
    std::size_t done_ = 0;
};

}  // namespace

std::size_t lists_for(std::size_t items) {
    const auto by_root = static_cast<std::size_t>(4 * std::sqrt(static_cast<double>(items)));
    return std::max<std::size_t>(1, std::min(by_root, items / kFewestItemsAList));
}

std::shared_ptr<const Segment> make_lists(const Source& source, Metric metric,
                                          const ListOptions& options, const KnownLists* known,
                                          const BuildOptions& build,
                                          const BuildProgress& progress) {
    return ListBuilder(source, metric, options, build, progress).run(known);
}

}  // namespace vecrecall::search
