// Rows that lie one after the other, or each somewhere else.
#pragma once

#include "vecrecall/views.hpp"

namespace vecrecall::search {

struct Rows {
    RowsView together;                       // its data unused where the rows are scattered
    const void* const* scattered = nullptr;  // of the same type, or null

    std::size_t size() const { return together.rows; }
    std::size_t dim() const { return together.dim; }
    RowType type() const { return together.type; }
    RowPointer row(std::size_t i) const {
        return scattered ? RowPointer(scattered[i], together.type) : together.row(i);
    }
};

}  // namespace vecrecall::search
