// Rows that lie one after the other, or each somewhere else.
#pragma once

#include "vecrecall/views.hpp"

namespace vecrecall::search {

struct Rows {
    MatrixView together;                      // its data unused where the rows are scattered
    const float* const* scattered = nullptr;  // or null

    std::size_t size() const { return together.rows; }
    std::size_t dim() const { return together.dim; }
    const float* row(std::size_t i) const { return scattered ? scattered[i] : together.row(i); }
};

}  // namespace vecrecall::search
