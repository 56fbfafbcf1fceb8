#include <algorithm>

#include "search/block_scanner.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kPanelBytes = std::size_t{128} << 10;

// Packing a row costs as much as scanning it in place for so many queries.
constexpr std::size_t kQueriesByRows = 4;

class F32 : public BlockScanner {
  public:
    F32(const SearchContext& context, std::size_t first_query, std::size_t n, std::size_t max_step)
        : BlockScanner(context, first_query, n),
          queries_(checked_product(n, padded_dim(context.items.dim()))),
          panels_(n <= kQueriesByRows
                      ? 0
                      : checked_product(whole_words(max_step), context.items.dim())),
          offsets_(whole_words(max_step), 0.0F),
          thresholds_(n) {
        select();
    }

    ScoreBound certify(const Block& block, std::size_t q) const override {
        return certify_f32(context_.items, block.stats(), query(q), center_terms(block, q));
    }

    void scan(std::size_t first, std::size_t n, Step& step) override {
        for (std::size_t q = 0; q < n_queries(); ++q) {
            thresholds_[q] = score_bounds_[q].threshold(step.thresholds[q]);
        }
        if (context_.items.has_offsets()) copy_offsets(first, n, offsets_.data());
        const kernels::ThresholdFilter threshold_filter{
            .offsets = offsets_.data(),
            .thresholds = thresholds_.data(),
            .live = step.live.data(),
            .first_row = static_cast<std::uint32_t>(first),
            .hits = step.hits.data()};
        if (by_rows()) scan_rows(first, n, threshold_filter);
        else scan_panels(first, n, threshold_filter);
    }

  private:
    void select() final {
        if (by_rows()) copy_queries();
        else interleave_queries();
    }

    // Few queries: rows in place, instead of panels.
    bool by_rows() const { return n_queries() <= kQueriesByRows; }

    void copy_queries() {
        const std::size_t dim = context_.items.dim();
        std::fill_n(queries_.data(), queries_.size(), 0.0F);
        for (std::size_t q = 0; q < n_queries(); ++q) {
            std::copy_n(query(selected()[q]).scan_vector, dim,
                        queries_.data() + q * padded_dim(dim));
        }
    }

    // Blocks of the kernel's width, dimension by dimension: what a register block reads is
    // adjacent.
    void interleave_queries() {
        const std::size_t dim = context_.items.dim();
        const std::size_t width = context_.table.f32_query_block;
        for (std::size_t q0 = 0; q0 < n_queries(); q0 += width) {
            const std::size_t n = std::min(width, n_queries() - q0);
            float* block = queries_.data() + q0 * dim;
            for (std::size_t q = 0; q < n; ++q) {
                const float* p = query(selected()[q0 + q]).scan_vector;
                for (std::size_t j = 0; j < dim; ++j) block[j * n + q] = p[j];
            }
        }
    }

    const float* scales(std::size_t first) const {
        const float* all = block_.segment->scales();
        return all ? all + block_.local(first) : nullptr;
    }
    const float* rows(std::size_t first) const {
        return block_.segment->scored().rows.row(block_.local(first));
    }

    void scan_rows(std::size_t first, std::size_t n,
                   const kernels::ThresholdFilter& threshold_filter) {
        context_.table.scan_rows_f32({.rows = rows(first),
                                      .n_rows = n,
                                      .dim = context_.items.dim(),
                                      .scales = scales(first),
                                      .center = block_.center().narrow.data(),
                                      .queries = queries_.data(),
                                      .n_queries = n_queries(),
                                      .threshold_filter = threshold_filter});
    }

    void scan_panels(std::size_t first, std::size_t n,
                     const kernels::ThresholdFilter& threshold_filter) {
        const std::size_t n_panels = whole_words(n) / kernels::kPanelItems;
        context_.table.pack_f32({.rows = rows(first),
                                 .n_rows = n,
                                 .dim = context_.items.dim(),
                                 .scales = scales(first),
                                 .center = block_.center().narrow.data(),
                                 .panels = panels_.data(),
                                 .n_panels = n_panels});
        context_.table.scan_panels_f32({.panels = panels_.data(),
                                        .n_panels = n_panels,
                                        .dim = context_.items.dim(),
                                        .queries = queries_.data(),
                                        .n_queries = n_queries(),
                                        .threshold_filter = threshold_filter});
    }

    Buffer<float> queries_;
    Buffer<float> panels_;
    std::vector<float> offsets_;
    std::vector<float> thresholds_;
};

}  // namespace

std::size_t longest_step_f32(std::size_t dim) {
    const std::size_t rows = kPanelBytes / (sizeof(float) * std::max<std::size_t>(1, dim));
    return std::clamp(rows / kernels::kWordItems * kernels::kWordItems, kernels::kWordItems,
                      kBlockItems);
}

std::unique_ptr<BlockScanner> make_float32_scanner(const SearchContext& context,
                                                   std::size_t first_query, std::size_t n,
                                                   std::size_t max_step) {
    return std::make_unique<F32>(context, first_query, n, max_step);
}

}  // namespace vecrecall::search
