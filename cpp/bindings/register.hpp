// The parts of the module, and the few helpers that they share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "no_gil.hpp"
#include "vecrecall/flat_index.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall::python {

namespace py = pybind11;

// Exactly this dtype, C-contiguous: the Python layer has converted, nothing is copied here.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Whether this is such an array already: no subclass, aligned.
template <class T>
bool is_ready(py::handle x, py::ssize_t ndim) {
    const bool subclass = Py_TYPE(x.ptr()) != py::detail::npy_api::get().PyArray_Type_;
    if (subclass || !py::isinstance<Array<T>>(x)) return false;
    const auto a = py::reinterpret_borrow<Array<T>>(x);
    return a.ndim() == ndim && reinterpret_cast<std::uintptr_t>(a.data()) % alignof(T) == 0;
}

// Whether rows of ids need no conversion, copy or error: offsets that no other thread writes, from
// 0 to the number of values, never descending.
bool are_id_rows(py::handle values, py::handle offsets);

inline MatrixView matrix(const Array<float>& a) {
    if (a.ndim() != 2) throw std::invalid_argument("expected a matrix");
    return {a.data(), static_cast<std::size_t>(a.shape(0)), static_cast<std::size_t>(a.shape(1))};
}

// Rows of any type that an index keeps. NumPy has no bfloat16: its bits come as uint16.
RowsView rows_of(const py::array& a);

// Of NumPy, for such rows.
py::dtype dtype_of(RowType type);

template <class T>
RaggedView<T> ragged(const Array<T>& values, const Array<std::int64_t>& offsets) {
    const auto n = static_cast<std::size_t>(offsets.size());
    if (n == 0 || offsets.at(n - 1) != values.size()) {
        throw std::invalid_argument("expected offsets that end at the number of values");
    }
    return {values.data(), offsets.data(), n - 1};
}

// Fresh output lists, allocated while the GIL is held.
struct Lists {
    Array<std::int64_t> ids;
    Array<float> scores;
    Array<std::int32_t> counts;

    Lists(std::size_t rows, std::size_t k) : ids({rows, k}), scores({rows, k}), counts(rows) {}

    ListsOut out() {
        return {ids.mutable_data(), scores.mutable_data(), counts.mutable_data(),
                static_cast<std::size_t>(ids.shape(0)), static_cast<std::size_t>(ids.shape(1))};
    }
};

void register_cancel_token(py::module_& m);
void register_candidates(py::module_& m);
void register_clustering(py::module_& m);
void register_feed(py::module_& m);
void register_flat_index(py::module_& m);
void register_merge(py::module_& m);
void register_pool(py::module_& m);
void register_runtime(py::module_& m);
void register_values(py::module_& m);

}  // namespace vecrecall::python
