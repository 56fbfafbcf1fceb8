// Rows as float32, a run of them at a time: those of half precision are widened.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/registry.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall {

class WidenedRows {
  public:
    // The rows are borrowed.
    WidenedRows(const RowsView& rows, std::size_t most)
        : rows_(rows),
          floats_(rows.type == RowType::kFloat32 ? 0 : std::min(most, rows.rows) * rows.dim) {}

    // At most so many as the constructor was given; as long as no others are asked for.
    MatrixView rows(std::size_t first, std::size_t n) {
        const RowPointer at = rows_.row(first);
        if (rows_.type == RowType::kFloat32) {
            return {static_cast<const float*>(at.data), n, rows_.dim};
        }
        kernels::active().widen(at, n * rows_.dim, floats_.data());
        return {floats_.data(), n, rows_.dim};
    }

  private:
    RowsView rows_;
    std::vector<float> floats_;
};

}  // namespace vecrecall
