#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "platform/memory.hpp"
#include "search/block_scanner.hpp"

namespace vecrecall::search {
namespace {

// Up to so many queries memory is the limit, and the panels are read as they lie.
constexpr std::size_t kFewQueries = 2;

// As those read queries.
constexpr kernels::RowLayout kAlone = {.rows = 1, .log_step = 2};

// Queries that a matrix unit takes, whole tiles of them: with a tile that is filled up, the vectors
// would be as fast.
std::size_t tiled(const kernels::KernelTable& table, std::size_t queries) {
    const std::size_t rows = table.i8_tiles.rows;
    return rows == 0 ? 0 : queries - queries % rows;
}

// Of the next block, where the kernel fetches ahead in this one only.
constexpr std::size_t kFetched = 4096;  // bytes

// Sums less thresholds must fit 32 bits: no sum of so many products of 127 and 128 exceeds 2^30, to
// which thresholds are clamped.
constexpr std::size_t kMostQuadsToShift = 4096;
constexpr std::int32_t kMostToShift = 1 << 30;

class I8 : public BlockScanner {
  public:
    I8(const SearchContext& context, std::size_t first_query, std::size_t n)
        : BlockScanner(context, first_query, n),
          quads_((context.items.dim() + 3) / 4),
          n_tiled_(tiled(context.table, n)),
          along_(context.items.scans_along()),
          offsets_wanted_(along_ || context.items.has_offsets()),
          codes_(checked_product(n, quads_ * 4)),
          queries_(checked_product(n, widest(context.table))),
          all_starts_(n),
          starts_(n),
          shifted_starts_(n),
          scales_(offsets_wanted_ ? n : 0),
          thresholds_(n),
          int_thresholds_(n),
          offsets_(offsets_wanted_ ? kBlockItems : 0, 0.0F),
          wide_(context.items.dim()) {
        bounds_.reserve(n);
        for (std::size_t q = 0; q < n; ++q) quantize_query(q);
        select();
    }

    ScoreBound certify(const Block& block, std::size_t q) const override {
        return bounds_[q].certify(block.code_stats(), block.stats(), center_terms(block, q));
    }

    void scan(std::size_t first, std::size_t n, Step& step) override {
        for (std::size_t q = 0; q < n_queries(); ++q) {
            if (scales_.empty()) {
                int_thresholds_[q] = score_bounds_[q].int_threshold(step.thresholds[q]);
            } else {
                thresholds_[q] = score_bounds_[q].threshold(step.thresholds[q]);
            }
        }
        if (shifted()) shift();
        if (along_) std::copy_n(block_.segment->along() + block_.local(first), n, offsets_.data());
        else if (offsets_wanted_) copy_offsets(first, n, offsets_.data());
        if (step.next != nullptr && !few()) {
            const std::size_t bytes = whole_words(step.next->size) * quads_ * 4;
            prefetch(first_codes(*step.next), std::min(bytes, kFetched));
        }
        const std::size_t items = n_tiled_ > 0 ? whole_words(n) : n;
        const std::size_t n_panels = (items + kernels::kPanelItems - 1) / kernels::kPanelItems;
        const std::uint8_t* codes = panels(first);
        const kernels::ScanI8 scan{
            .codes = codes,
            .n_panels = n_panels,
            .after = step.next ? first_codes(*step.next)
                               : codes + n_panels * kernels::kPanelItems * quads_ * 4,
            .n_quads = quads_,
            .queries = queries_.data(),
            .n_queries = n_queries(),
            .n_tiled = n_tiled_,
            .starts = shifted() ? shifted_starts_.data() : starts_.data(),
            .scales = scales_.empty() ? nullptr : scales_.data(),
            .shifted = shifted(),
            .threshold_filter = {.offsets = offsets_.data(),
                                 .thresholds = thresholds_.data(),
                                 .int_thresholds = int_thresholds_.data(),
                                 .live = step.live.data(),
                                 .first_row = static_cast<std::uint32_t>(first),
                                 .hits = step.hits.data()}};
        if (few()) context_.table.scan_i8_few(scan);
        else context_.table.scan_i8(scan);
    }

  private:
    bool few() const { return n_queries() <= kFewQueries; }
    // With a mask most hits are dead items, and a block's one test would seldom be the last.
    bool shifted() const {
        return !few() && scales_.empty() && !context_.allow && quads_ <= kMostQuadsToShift;
    }
    // Bytes of a query, wherever it lies.
    std::size_t widest(const kernels::KernelTable& table) const {
        return std::max(quads_ * 4, table.i8_tiles.rows == 0 ? 0 : table.i8_tiles.width(quads_));
    }

    void enter() override {
        for (std::size_t q = 0; q < scales_.size() && q < n_queries(); ++q) {
            scales_[q] = bounds_[selected()[q]].scale(block_.code_stats());
        }
    }

    // Puts the codes of the queries where a kernel looks for them.
    void select() final {
        n_tiled_ = tiled(context_.table, n_queries());
        for (std::size_t q = 0; q < n_queries(); ++q) {
            starts_[q] = all_starts_[selected()[q]];
            const std::int8_t* from = codes_.data() + selected()[q] * quads_ * 4;
            const kernels::RowPlace to = place(q);
            for (std::size_t j = 0; j < quads_; ++j) {
                std::memcpy(queries_.data() + to.at(4 * j), from + 4 * j, 4);
            }
            const std::size_t width = q < n_tiled_ ? context_.table.i8_tiles.width(quads_) : 0;
            for (std::size_t j = quads_; 4 * j < width; ++j) {
                std::memset(queries_.data() + to.at(4 * j), 0, 4);
            }
        }
    }

    static const std::uint8_t* first_codes(const Block& block) {
        return block.segment->codes().from_slot(block.segment->layout().slot(block.index));
    }

    const std::uint8_t* panels(std::size_t first) const {
        return first_codes(block_) + (first - block_.first_row) * quads_ * 4;
    }

    void shift() {
        for (std::size_t q = 0; q < n_queries(); ++q) {
            int_thresholds_[q] = std::clamp(int_thresholds_[q], -kMostToShift, kMostToShift);
            shifted_starts_[q] = starts_[q] - int_thresholds_[q];
        }
    }

    // p in float64, less its part along the center, which is returned: at least 2^-10 of p, so that
    // it is positive, and values in units of it stay small.
    double take_apart(const Query& query) {
        const float* p = query.scan_vector;
        std::copy_n(p, wide_.size(), wide_.begin());
        if (!along_) return 0.0;
        const double* direction = context_.items.center().direction.data();
        double along = 0;
        for (std::size_t j = 0; j < wide_.size(); ++j) along += p[j] * direction[j];
        along = std::max(along, 0x1p-10 * query.scan_length);
        if (!(along > 0)) along = 1.0;
        for (std::size_t j = 0; j < wide_.size(); ++j) wide_[j] -= along * direction[j];
        return along;
    }

    // p - along * direction = step * g + f with g in -limit .. limit.
    void quantize_query(std::size_t q) {
        const std::size_t dim = context_.items.dim();
        const Query& query = this->query(q);
        const double along = take_apart(query);
        const std::vector<double>& p = wide_;
        const auto limit = static_cast<double>(context_.table.i8_query_limit);
        double largest = 0;
        double square = 0;
        for (std::size_t j = 0; j < dim; ++j) {
            largest = std::max(largest, std::fabs(p[j]));
            square += p[j] * p[j];
        }
        // An overflown query has no codes: zeros, and an error that certifies nothing.
        const bool finite = std::isfinite(largest);
        const double step = finite && largest > 0 ? largest / limit : 1.0;
        double missed = finite ? 0.0 : std::numeric_limits<double>::infinity();
        std::int32_t sum = 0;
        for (std::size_t j = 0; j < quads_ * 4; ++j) {
            const double value = finite && j < dim ? p[j] : 0.0;
            const double g = std::clamp(std::nearbyint(value / step), -limit, limit);
            const double f = value - step * g;
            missed += f * f;
            sum += static_cast<std::int32_t>(g);
            codes_[q * quads_ * 4 + j] = static_cast<std::int8_t>(g);
        }
        all_starts_[q] = -context_.table.i8_code_offset * sum;
        // Rounding of f, and of what was taken apart: 2^-52 of the query each, and of that part.
        const double rounding = 0x1p-50 * (query.scan_length + along);
        bounds_.emplace_back(context_.items, query,
                             QueryCodes{.step = step,
                                        .error = std::sqrt(missed) * (1 + 0x1p-30) + rounding,
                                        .length = std::sqrt(square) * (1 + 0x1p-30) + rounding,
                                        .along = along});
    }

    // Where a kernel looks for query q of those selected.
    kernels::RowPlace place(std::size_t q) const {
        const kernels::RowLayout& tiles = context_.table.i8_tiles;
        if (q < n_tiled_) return tiles.place(q, n_tiled_, quads_);
        const kernels::RowLayout layout = few() ? kAlone : context_.table.i8_blocks;
        kernels::RowPlace found = layout.place(q - n_tiled_, n_queries() - n_tiled_, quads_);
        found.first += n_tiled_ * tiles.width(quads_);
        return found;
    }

    std::size_t quads_;
    std::size_t n_tiled_;
    bool along_;
    bool offsets_wanted_;
    Buffer<std::int8_t> codes_;  // one query after the other
    Buffer<std::int8_t> queries_;
    std::vector<QuantizedScoreBound> bounds_;
    std::vector<std::int32_t> all_starts_;
    std::vector<std::int32_t> starts_;
    std::vector<std::int32_t> shifted_starts_;
    std::vector<float> scales_;  // with offsets
    std::vector<float> thresholds_;
    std::vector<std::int32_t> int_thresholds_;
    std::vector<float> offsets_;
    std::vector<double> wide_;  // of the query at hand
};

}  // namespace

std::unique_ptr<BlockScanner> make_int8_scanner(const SearchContext& context,
                                                std::size_t first_query, std::size_t n) {
    return std::make_unique<I8>(context, first_query, n);
}

}  // namespace vecrecall::search
