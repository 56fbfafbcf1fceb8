// An index taken apart into arrays, as files keep it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecrecall/flat_index.hpp"

namespace vecrecall {

// Numbers per block of 2048 rows; blocks of a list begin with it.
inline constexpr std::size_t kBlockBounds = 3;
inline constexpr std::size_t kCodeBounds = 4;
inline constexpr std::size_t kListSettings = 4;

// Little-endian as they lie, the same for every instruction set. Where an array may be missing, its
// size is 0.
struct IndexArrays {
    Metric metric = Metric::kIp;
    RowsView rows;                   // in the order in which the index keeps them
    ArrayView<std::int64_t> ids;     // of the rows; missing: 0 .. n-1
    ArrayView<double> bias;          // of the rows; missing: none
    ArrayView<std::uint32_t> order;  // of the rows, their places as inserted; missing: 0 .. n-1
    ArrayView<float> center;         // one per dimension
    ArrayView<float> row_terms;      // cosine: inverse lengths; l2: what the scan adds
    ArrayView<float> along;          // of the rows, along the center; missing: it has no direction
    ArrayView<double> block_bounds;  // kBlockBounds per block
    ArrayView<std::uint8_t> codes;   // rows as int8, in panels; missing: the scan is in float32
    ArrayView<double> code_bounds;   // kCodeBounds per block, with the codes
    // Of an index that has lists, all of them; none of no items, unless centers were given.
    ArrayView<float> list_centers;        // dim per list
    ArrayView<std::uint32_t> list_sizes;  // items, in the order of the rows
    ArrayView<float> list_spreads;        // how far above its center a list's best items score for
                                          // a query of length one; missing: zeros
    ArrayView<std::int64_t> list_settings;  // kListSettings: how many were asked for (0: by the
                                            // number of items), seed, items that they were made
                                            // for (0: of given centers), default probes
};

}  // namespace vecrecall
