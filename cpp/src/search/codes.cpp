#include "search/codes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/registry.hpp"
#include "search/segment.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Times the median error: such a bound lets so much pass that a float32 scan is cheaper.
constexpr double kOutlier = 3.0;

}  // namespace

Codes::Codes(const Segment& items, int threads)
    : quads_((items.dim() + 3) / 4),
      own_codes_(bytes(items.layout().slots(), items.dim())),
      codes_(own_codes_.data()),
      stats_(items.blocks()) {
    const kernels::KernelTable& table = kernels::active();
    parallel_for(items.blocks(), threads,
                 [&](std::size_t block) { quantize(table, items, block); });
    measure(items);
}

Codes::Codes(const Segment& items, const std::uint8_t* codes, std::vector<CodeStats> stats)
    : quads_((items.dim() + 3) / 4), codes_(codes), stats_(std::move(stats)) {
    measure(items);
}

// Lists differ by nature: there none is an outlier.
void Codes::measure(const Segment& items) {
    if (items.lists()) {
        outlier_error_ = std::numeric_limits<double>::infinity();
        return;
    }
    std::vector<double> errors;
    errors.reserve(stats_.size());
    for (const CodeStats& stats : stats_) errors.push_back(stats.error_length);
    if (errors.empty()) return;
    const auto middle = errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2);
    std::nth_element(errors.begin(), middle, errors.end());
    outlier_error_ = kOutlier * *middle;
}

void Codes::quantize(const kernels::KernelTable& table, const Segment& items, std::size_t block) {
    const std::size_t first = items.layout().first(block);
    const std::size_t n = items.layout().size(block);
    std::vector<double> scales;
    if (items.metric() == Metric::kCosine) scales = items.inverse_lengths(table, first, n);
    kernels::QuantizeI8 context{
        .rows = items.scored().rows.row(first),
        .n_rows = n,
        .dim = items.dim(),
        .scales = scales.empty() ? nullptr : scales.data(),
        .center = items.center(block).wide.data(),
        .codes = own_codes_.data() + items.layout().slot(block) * quads_ * 4,
        .n_panels = whole_words(n) / kernels::kPanelItems};
    const double largest = table.largest_residual(context);
    context.step = largest > 0 ? largest / 127.0 : 1.0;
    table.quantize_i8(context);
    // In float64 a difference and a product are off by 2^-53 of themselves; what 1 / |x| is off by
    // grows with the width, and is part of the bound's own float64 term.
    const double rounding =
        0x1p-50 * (std::sqrt(context.largest_code2) + std::sqrt(context.largest_error2) +
                   (items.metric() == Metric::kCosine ? 1.0 : 0.0));
    stats_[block] = {.step = context.step,
                     .inverse_step = 1.0 / context.step,
                     .code_length = std::sqrt(context.largest_code2) * kUp,
                     .error_length = std::sqrt(context.largest_error2) * kUp + rounding};
}

}  // namespace vecrecall::search
