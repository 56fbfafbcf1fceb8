// Items picked from what an index has and from what is added to it, to make a segment of.
#pragma once

#include <cstdint>
#include <vector>

#include "platform/canceling.hpp"
#include "search/items.hpp"

namespace vecrecall::search {

class SegmentBuilder {
  public:
    SegmentBuilder(const Items& items, std::size_t room) : items_(items) {
        rows_.reserve(room);
        ids_.reserve(room);
        insertion_ranks_.reserve(room);
    }

    std::size_t size() const { return rows_.size(); }

    // A row of the index, live or not.
    void take(std::size_t row, std::size_t insertion_rank) {
        take(items_.row(row), items_.id(row), items_.bias(row), insertion_rank);
    }
    void take(const ItemsView& from, std::size_t i, std::size_t insertion_rank) {
        take(from.rows.row(i), from.ids[i], from.bias ? from.bias[i] : 0.0, insertion_rank);
    }

    // As long as nothing more is taken.
    Source source() const {
        const RowPointer nowhere(nullptr, items_.row_type());
        return {.rows = {.together = {nowhere, size(), items_.dim()}, .scattered = rows_.data()},
                .ids = ids_.data(),
                .bias = bias_.empty() ? nullptr : bias_.data(),
                .insertion_ranks = insertion_ranks_.data()};
    }

  private:
    void take(RowPointer row, std::int64_t id, double bias, std::size_t insertion_rank) {
        canceling::check_each(size());
        if (bias != 0) has_bias_ = true;
        rows_.push_back(row.data);
        ids_.push_back(id);
        insertion_ranks_.push_back(static_cast<std::uint32_t>(insertion_rank));
        if (!has_bias_) return;
        bias_.resize(size(), 0.0);  // of those before it, where it is the first
        bias_.back() = bias;
    }

    const Items& items_;
    std::vector<const void*> rows_;
    std::vector<std::int64_t> ids_;
    bool has_bias_ = false;
    std::vector<double> bias_;  // empty: all are zero
    std::vector<std::uint32_t> insertion_ranks_;
};

}  // namespace vecrecall::search
