#include "search/index_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

static_assert(sizeof(BlockStats) == kBlockBounds * sizeof(double));
static_assert(sizeof(CodeStats) == kCodeBounds * sizeof(double));

[[noreturn]] void refuse(const char* part, const std::string& expected, const std::string& got) {
    throw std::invalid_argument(std::string(part) + ": expected " + expected + ", got " + got);
}

void check_size(const char* part, std::size_t size, std::size_t expected) {
    if (size == expected) return;
    refuse(part, std::to_string(expected) + " values", std::to_string(size));
}

template <class T>
void check_size_if_there(const char* part, const ArrayView<T>& array, std::size_t expected) {
    if (array.size != 0) check_size(part, array.size, expected);
}

void check_sizes(const IndexArrays& parts) {
    const std::size_t n = parts.rows.rows;
    if (n > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        refuse("rows", "fewer than 2^31", std::to_string(n));
    }
    if (parts.rows.dim == 0) refuse("rows", "at least one column", "none");
    check_size("center", parts.center.size, parts.rows.dim);
    check_size_if_there("ids", parts.ids, n);
    check_size_if_there("bias", parts.bias, n);
    check_size_if_there("order", parts.order, n);
    check_size("row_terms", parts.row_terms.size, parts.metric == Metric::kIp ? 0 : n);
    check_size_if_there("along", parts.along, n);
    if (parts.along.size != 0 && parts.metric == Metric::kL2) {
        refuse("along", "none under l2", std::to_string(n) + " values");
    }
    check_size("block_bounds", parts.block_bounds.size, blocks_for(n) * kBlockBounds);
    const bool coded = parts.code_bounds.size != 0;
    if (coded && !Codes::possible(parts.rows.dim)) {
        refuse("codes", "none for rows so wide", std::to_string(parts.rows.dim) + " dimensions");
    }
    check_size_if_there("code_bounds", parts.code_bounds, blocks_for(n) * kCodeBounds);
    check_size("codes", parts.codes.size, coded ? Codes::bytes(n, parts.rows.dim) : 0);
}

void check_order(const ArrayView<std::uint32_t>& order) {
    std::vector<bool> there(order.size, false);
    for (std::size_t i = 0; i < order.size; ++i) {
        canceling::check_each(i);
        const std::uint32_t place = order.data[i];
        if (place >= order.size || there[place]) {
            refuse("order", "each place once, below " + std::to_string(order.size),
                   std::to_string(place) + " at row " + std::to_string(i));
        }
        there[place] = true;
    }
}

template <class T, class Good>
void check_each(const char* part, const ArrayView<T>& array, const char* expected, Good good) {
    for (std::size_t i = 0; i < array.size; ++i) {
        canceling::check_each(i);
        if (!good(i)) refuse(part, expected, std::to_string(array.data[i]));
    }
}

// A missing array is known by a null pointer from here on, not by its size.
IndexArrays without_empty(IndexArrays parts) {
    if (parts.ids.size == 0) parts.ids = {};
    if (parts.bias.size == 0) parts.bias = {};
    if (parts.order.size == 0) parts.order = {};
    if (parts.along.size == 0) parts.along = {};
    return parts;
}

// The bounds of blocks, which score bounds are made from; infinite where a block has none.
void check_bounds(const IndexArrays& parts) {
    check_each("center", parts.center, "finite values",
               [&](std::size_t i) { return std::isfinite(parts.center.data[i]); });
    check_each("block_bounds", parts.block_bounds, "numbers",
               [&](std::size_t i) { return !std::isnan(parts.block_bounds.data[i]); });
    check_each("code_bounds", parts.code_bounds, "lengths, and steps > 0", [&](std::size_t i) {
        const double x = parts.code_bounds.data[i];
        return i % kCodeBounds < 2 ? x > 0 && std::isfinite(x) : x >= 0;
    });
}

Center center_of(const IndexArrays& parts) {
    Center center = center_at(kernels::active(), parts.center.data, parts.rows.dim);
    if (parts.along.size == 0) return center;
    center = with_direction(std::move(center));
    if (center.direction.empty()) {
        refuse("along", "none where the center is zero",
               std::to_string(parts.along.size) + " values");
    }
    return center;
}

}  // namespace

IndexArrays to_arrays(const Items& items) {
    if (items.segments().size() != 1 || items.size() != items.rows()) {
        throw std::logic_error("expected items that are compacted");
    }
    const Segment& segment = items.base();
    const std::size_t n = segment.size();
    const float* terms = segment.metric() == Metric::kL2 ? segment.offsets() : segment.scales();
    IndexArrays parts{
        .metric = segment.metric(),
        .rows = segment.scored().rows,
        .ids = {segment.ids().ids(), segment.ids().ids() ? n : 0},
        .bias = {segment.scored().bias, segment.scored().bias ? n : 0},
        .order = {segment.order(), segment.order() ? n : 0},
        .center = {segment.center().narrow.data(), segment.dim()},
        .row_terms = {terms, terms ? n : 0},
    };
    if (segment.blocks() == 0) return parts;
    if (segment.along()) parts.along = {segment.along(), n};
    parts.block_bounds = {&segment.stats(0).radius, segment.blocks() * kBlockBounds};
    if (segment.codes().empty()) return parts;
    parts.codes = {segment.codes().from_row(0), Codes::bytes(n, segment.dim())};
    parts.code_bounds = {&segment.codes().stats(0).step, segment.blocks() * kCodeBounds};
    return parts;
}

Items from_arrays(const IndexArrays& parts, std::shared_ptr<const void> owner) {
    check_sizes(parts);
    check_each("ids", parts.ids, "ids >= 0", [&](std::size_t i) { return parts.ids.data[i] >= 0; });
    check_order(parts.order);
    check_bounds(parts);
    auto center = std::make_shared<const Center>(center_of(parts));
    const bool coded = parts.code_bounds.size != 0 || parts.rows.rows == 0;
    return Items(
        std::make_shared<const Segment>(without_empty(parts), std::move(center), std::move(owner)),
        coded);
}

}  // namespace vecrecall::search
