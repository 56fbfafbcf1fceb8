// Raw kernels by instruction set, for tests of what the public functions only imply.
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "kernels/registry.hpp"
#include "register.hpp"
#include "scan/intervals.hpp"

namespace vecrecall::python {
namespace {

py::tuple intervals(const std::string& isa, const Array<float>& vectors,
                    const std::optional<Array<double>>& bias, Metric metric, bool codes,
                    const Array<float>& query) {
    const kernels::KernelTable& table = kernels::named(isa);
    const ItemsView items{.rows = matrix(vectors), .bias = bias ? bias->data() : nullptr};
    if (query.size() != vectors.shape(1) || (bias && bias->size() != vectors.shape(0))) {
        throw std::invalid_argument("expected a query and a bias that fit the vectors");
    }
    Array<float> lowest(vectors.shape(0));
    Array<float> highest(vectors.shape(0));
    scan::intervals(table, items, metric, codes, query.data(), lowest.mutable_data(),
                    highest.mutable_data());
    return py::make_tuple(lowest, highest);
}

}  // namespace

void register_kernels(py::module_& m) {
    m.def("scan_intervals", &intervals, py::arg("isa"), py::arg("vectors").noconvert(),
          py::arg("bias").noconvert(), py::arg("metric"), py::arg("codes"),
          py::arg("query").noconvert());
}

}  // namespace vecrecall::python
