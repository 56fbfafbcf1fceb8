// Lists of an inverted file: each holds the items that are nearest to its center.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/centering.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::search {

class Items;

// How lists were made, to make them again.
struct ListOptions {
    std::uint64_t asked = 0;  // how many; 0: by the number of items
    std::uint64_t seed = 0;
    std::uint64_t trained_for = 0;  // items
};

// Lists lie one after the other, each in blocks of its own; none is empty. The scan subtracts a
// list's center from its rows.
class Lists {
  public:
    // One row of `centers` per list; `sizes` are numbers of items. `middle` is the center of rows
    // that are in no list.
    Lists(const MatrixView& centers, std::vector<std::uint32_t> sizes, Metric metric,
          const Center& middle, const ListOptions& options);

    std::size_t size() const { return sizes_.size(); }
    const std::vector<std::uint32_t>& sizes() const { return sizes_; }
    const ListOptions& options() const { return options_; }
    const Center& center(std::size_t list) const { return centers_[list]; }
    // At least the distance from the center to that of rows that are in no list.
    double shift(std::size_t list) const { return shifts_[list]; }
    std::size_t first_block(std::size_t list) const { return first_blocks_[list]; }
    std::size_t end_block(std::size_t list) const { return first_blocks_[list + 1]; }
    std::size_t list_of_block(std::size_t block) const { return list_of_block_[block]; }
    // The centers as the items of an index, whose scores say which lists to probe for a query.
    const Items& as_items() const { return *as_items_; }
    // One row per list.
    MatrixView centers() const { return {rows_.data(), size(), dim_}; }
    // Of the centers, as the scan and as the choice of lists read them.
    std::size_t bytes() const;

  private:
    ListOptions options_;
    std::size_t dim_;
    std::vector<std::uint32_t> sizes_;
    std::vector<float> rows_;
    std::vector<Center> centers_;
    std::vector<double> shifts_;
    std::vector<std::uint32_t> first_blocks_;
    std::vector<std::uint32_t> list_of_block_;
    std::shared_ptr<const Items> as_items_;
};

}  // namespace vecrecall::search
