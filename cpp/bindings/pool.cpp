#include "vecrecall/pool.hpp"

#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <optional>

#include "register.hpp"

namespace vecrecall::python {
namespace {

Array<float> pooled(const py::array& table, const Array<std::int64_t>& values,
                    const Array<std::int64_t>& offsets, const std::optional<Array<double>>& weights,
                    Pooling mode, std::int64_t first, bool normalize, int threads) {
    const RowsView view = rows_of(table);
    const RaggedView<std::int64_t> bags = ragged(values, offsets);
    if (weights && weights->size() != values.size()) {
        throw std::invalid_argument("expected a weight for each row number");
    }
    Array<float> out({bags.rows, view.dim});
    float* data = out.mutable_data();
    const PoolOptions options{.mode = mode,
                              .weights = weights ? weights->data() : nullptr,
                              .first = first,
                              .normalize = normalize,
                              .threads = threads};
    const NoGil nogil;
    pool(view, bags, options, data);
    return out;
}

}  // namespace

void register_pool(py::module_& m) {
    py::native_enum<Pooling>(m, "Pooling", "enum.Enum")
        .value("sum", Pooling::kSum)
        .value("mean", Pooling::kMean)
        .value("max", Pooling::kMax)
        .finalize();
    m.def("pool", &pooled, py::arg("table").noconvert(), py::arg("values").noconvert(),
          py::arg("offsets").noconvert(), py::arg("weights").noconvert(), py::arg("mode"),
          py::arg("first"), py::arg("normalize"), py::arg("threads"));
}

}  // namespace vecrecall::python
