// Raw kernels by instruction set, for tests of what the public functions only imply.
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "kernels/registry.hpp"
#include "register.hpp"
#include "search/intervals.hpp"

namespace vecrecall::python {
namespace {

py::tuple intervals(const std::string& isa, const Array<float>& vectors,
                    const std::optional<Array<double>>& bias, Metric metric, bool codes,
                    const Array<float>& queries) {
    const kernels::KernelTable& table = kernels::named(isa);
    const ItemsView items{.rows = matrix(vectors), .bias = bias ? bias->data() : nullptr};
    if (queries.shape(1) != vectors.shape(1) || (bias && bias->size() != vectors.shape(0))) {
        throw std::invalid_argument("expected queries and a bias that fit the vectors");
    }
    Array<float> lowest({queries.shape(0), vectors.shape(0)});
    Array<float> highest({queries.shape(0), vectors.shape(0)});
    search::intervals(table, items, metric, codes, matrix(queries), lowest.mutable_data(),
                      highest.mutable_data());
    return py::make_tuple(lowest, highest);
}

}  // namespace

void register_kernels(py::module_& m) {
    m.def("scan_intervals", &intervals, py::arg("isa"), py::arg("vectors").noconvert(),
          py::arg("bias").noconvert(), py::arg("metric"), py::arg("codes"),
          py::arg("queries").noconvert());
}

}  // namespace vecrecall::python
