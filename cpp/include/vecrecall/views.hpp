// Arrays of the caller, looked at in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecrecall/row_type.hpp"

namespace vecrecall {

// Row-major, contiguous.
struct MatrixView {
    const float* data = nullptr;
    std::size_t rows = 0;
    std::size_t dim = 0;

    const float* row(std::size_t i) const { return data + i * dim; }
};

// The same of any type.
struct RowsView {
    const void* data = nullptr;
    std::size_t rows = 0;
    std::size_t dim = 0;
    RowType type = RowType::kFloat32;

    RowsView() = default;
    RowsView(const MatrixView& m)  // NOLINT(google-explicit-constructor)
        : data(m.data), rows(m.rows), dim(m.dim) {}
    RowsView(const float* values, std::size_t n, std::size_t width)
        : data(values), rows(n), dim(width) {}
    RowsView(RowPointer first, std::size_t n, std::size_t width)
        : data(first.data), rows(n), dim(width), type(first.type) {}

    RowPointer row(std::size_t i) const { return RowPointer(data, type) + i * dim; }
};

// CSR rows: row i is values[offsets[i]] .. values[offsets[i + 1] - 1].
template <class T>
struct RaggedView {
    const T* values = nullptr;
    const std::int64_t* offsets = nullptr;
    std::size_t rows = 0;

    const T* begin(std::size_t i) const { return values + offsets[i]; }
    const T* end(std::size_t i) const { return values + offsets[i + 1]; }
    std::size_t length(std::size_t i) const {
        return static_cast<std::size_t>(offsets[i + 1] - offsets[i]);
    }
};

// Ranked lists, one per row, padded with id -1 and score -inf after `counts` entries.
template <class Id, class Score, class Count>
struct BasicLists {
    Id* ids = nullptr;
    Score* scores = nullptr;
    Count* counts = nullptr;
    std::size_t rows = 0;
    std::size_t width = 0;
};

using ListsOut = BasicLists<std::int64_t, float, std::int32_t>;
using ListsView = BasicLists<const std::int64_t, const float, const std::int32_t>;

template <class T>
struct ArrayView {
    const T* data = nullptr;
    std::size_t size = 0;
};

}  // namespace vecrecall
