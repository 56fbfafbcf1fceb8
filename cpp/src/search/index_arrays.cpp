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

bool has_lists(const IndexArrays& parts) { return parts.list_settings.size != 0; }

std::vector<std::uint32_t> list_sizes(const IndexArrays& parts) {
    return {parts.list_sizes.data, parts.list_sizes.data + parts.list_sizes.size};
}

BlockLayout layout_of(const IndexArrays& parts) {
    if (!has_lists(parts)) return {parts.rows.rows, kBlockItems};
    return BlockLayout(list_sizes(parts));
}

void check_lists(const IndexArrays& parts) {
    const std::size_t lists = parts.list_sizes.size;
    check_size("list_settings", parts.list_settings.size, has_lists(parts) ? kListSettings : 0);
    if (!has_lists(parts)) {
        check_size("list_sizes", lists, 0);
        check_size("list_centers", parts.list_centers.size, 0);
        check_size("list_spreads", parts.list_spreads.size, 0);
        return;
    }
    const std::int64_t* settings = parts.list_settings.data;
    for (std::size_t i = 0; i < kListSettings; ++i) {
        const bool probes = i + 1 == kListSettings;
        if (settings[i] < (probes ? 1 : 0)) {
            refuse("list_settings", probes ? "probes >= 1" : "numbers >= 0",
                   std::to_string(settings[i]));
        }
    }
    std::size_t rows = 0;
    std::size_t slots = 0;
    for (std::size_t i = 0; i < lists; ++i) {
        canceling::check_each(i);
        if (parts.list_sizes.data[i] == 0 && settings[2] > 0) {
            refuse("list_sizes", "lists with items", "0");
        }
        rows += parts.list_sizes.data[i];
        slots += whole_words(parts.list_sizes.data[i]);
    }
    if (slots > kMostSlots) refuse("list_sizes", "longer lists", std::to_string(lists) + " lists");
    if (rows != parts.rows.rows) {
        refuse("list_sizes", std::to_string(parts.rows.rows) + " items in all",
               std::to_string(rows));
    }
    check_size("list_centers", parts.list_centers.size, lists * parts.rows.dim);
    check_size_if_there("list_spreads", parts.list_spreads,
                        parts.metric == Metric::kL2 ? 0 : lists);
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
    check_lists(parts);
    check_size("row_terms", parts.row_terms.size, parts.metric == Metric::kIp ? 0 : n);
    check_size_if_there("along", parts.along, n);
    if (parts.along.size != 0 && (parts.metric == Metric::kL2 || has_lists(parts))) {
        refuse("along", "none under l2 or in lists", std::to_string(n) + " values");
    }
    const BlockLayout layout = layout_of(parts);
    check_size("block_bounds", parts.block_bounds.size, layout.blocks() * kBlockBounds);
    const bool coded = parts.code_bounds.size != 0;
    if (coded && !Codes::possible(parts.rows.dim)) {
        refuse("codes", "none for rows so wide", std::to_string(parts.rows.dim) + " dimensions");
    }
    check_size_if_there("code_bounds", parts.code_bounds, layout.blocks() * kCodeBounds);
    check_size("codes", parts.codes.size, coded ? Codes::bytes(layout.slots(), parts.rows.dim) : 0);
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
    check_each("list_centers", parts.list_centers, "finite values",
               [&](std::size_t i) { return std::isfinite(parts.list_centers.data[i]); });
    check_each("list_spreads", parts.list_spreads, "finite values >= 0", [&](std::size_t i) {
        const float spread = parts.list_spreads.data[i];
        return spread >= 0 && std::isfinite(spread);
    });
    check_each("block_bounds", parts.block_bounds, "numbers",
               [&](std::size_t i) { return !std::isnan(parts.block_bounds.data[i]); });
    check_each("code_bounds", parts.code_bounds, "lengths, and steps > 0", [&](std::size_t i) {
        const double x = parts.code_bounds.data[i];
        return i % kCodeBounds < 2 ? x > 0 && std::isfinite(x) : x >= 0;
    });
}

std::shared_ptr<const Lists> lists_from(const IndexArrays& parts, const Center& middle) {
    const std::int64_t* settings = parts.list_settings.data;
    const ListOptions options{.asked = static_cast<std::uint64_t>(settings[0]),
                              .seed = static_cast<std::uint64_t>(settings[1]),
                              .trained_for = static_cast<std::uint64_t>(settings[2])};
    const MatrixView centers{parts.list_centers.data, parts.list_sizes.size, parts.rows.dim};
    std::vector<float> spreads(parts.list_spreads.data,
                               parts.list_spreads.data + parts.list_spreads.size);
    return std::make_shared<const Lists>(centers, list_sizes(parts), std::move(spreads),
                                         parts.metric, middle, options);
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
    if (segment.lists()) {
        const Lists& lists = *segment.lists();
        parts.list_centers = {lists.centers().data, lists.size() * segment.dim()};
        parts.list_sizes = {lists.sizes().data(), lists.size()};
        parts.list_spreads = {lists.spreads().data(), lists.spreads().size()};
        parts.list_settings = {items.list_settings().data(), kListSettings};
    }
    if (segment.blocks() == 0) return parts;
    if (segment.along()) parts.along = {segment.along(), n};
    parts.block_bounds = {&segment.stats(0).radius, segment.blocks() * kBlockBounds};
    if (segment.codes().empty()) return parts;
    parts.codes = {segment.codes().from_slot(0),
                   Codes::bytes(segment.layout().slots(), segment.dim())};
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
    std::shared_ptr<const Lists> lists;
    if (has_lists(parts)) lists = lists_from(parts, *center);
    const auto probes =
        has_lists(parts) ? static_cast<std::size_t>(parts.list_settings.data[3]) : 1;
    return Items(std::make_shared<const Segment>(without_empty(parts), std::move(center),
                                                 std::move(lists), std::move(owner)),
                 coded, probes);
}

}  // namespace vecrecall::search
