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
    std::uint64_t trained_for = 0;  // items; 0: for given centers, whose lists stay
};

// Lists lie one after the other, each in blocks of its own; none is empty, but of given centers.
// The scan subtracts a list's center from its rows.
class Lists {
  public:
    // One row of `centers` per list; `sizes` are numbers of items; `spreads` are by list_spreads,
    // none: zeros. `middle` is the center of rows that are in no list.
    Lists(const MatrixView& centers, std::vector<std::uint32_t> sizes, std::vector<float> spreads,
          Metric metric, const Center& middle, const ListOptions& options);

    std::size_t size() const { return sizes_.size(); }
    const std::vector<std::uint32_t>& sizes() const { return sizes_; }
    const ListOptions& options() const { return options_; }
    const Center& center(std::size_t list) const { return centers_[list]; }
    // At least that of the center.
    double norm(std::size_t list) const { return norms_[list]; }
    // At least the distance from the center to that of rows that are in no list.
    double shift(std::size_t list) const { return shifts_[list]; }
    std::size_t first_block(std::size_t list) const { return first_blocks_[list]; }
    std::size_t end_block(std::size_t list) const { return first_blocks_[list + 1]; }
    std::size_t list_of_block(std::size_t block) const { return list_of_block_[block]; }
    // Per list, or none.
    const std::vector<float>& spreads() const { return spreads_; }
    double spread(std::size_t list) const { return spreads_.empty() ? 0.0 : spreads_[list]; }
    // The centers as the items of an index, with the spreads for a bias: the scores that a query of
    // length one has there say which lists to probe.
    const Items& as_items() const { return *as_items_; }
    // One row per list.
    MatrixView centers() const { return {rows_.data(), size(), dim_}; }
    // Of the centers, as the scan and as the choice of lists read them.
    std::size_t bytes() const;

  private:
    ListOptions options_;
    std::size_t dim_;
    std::vector<std::uint32_t> sizes_;
    std::vector<float> spreads_;
    std::vector<float> rows_;
    std::vector<Center> centers_;
    std::vector<double> norms_;  // apart from the centers, which a search does not look at
    std::vector<double> shifts_;
    std::vector<std::uint32_t> first_blocks_;
    std::vector<std::uint32_t> list_of_block_;
    std::shared_ptr<const Items> as_items_;
};

}  // namespace vecrecall::search
