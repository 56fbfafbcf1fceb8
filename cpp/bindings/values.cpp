#include "vecrecall/values.hpp"

#include <pybind11/native_enum.h>

#include <algorithm>
#include <optional>

#include "platform/fp_env.hpp"
#include "register.hpp"

namespace vecrecall::python {
namespace {

template <std::int64_t (*Find)(const RowsView&, int)>
std::int64_t first_row_that(const py::array& a) {
    const RowsView view = rows_of(a);
    const NoGil nogil;
    return Find(view, 0);
}

template <void (*Test)(const RowsView&, std::uint8_t*, int)>
Array<std::uint8_t> rows_that(const py::array& a) {
    const RowsView view = rows_of(a);
    Array<std::uint8_t> out(a.shape(0));
    std::uint8_t* data = out.mutable_data();
    const NoGil nogil;
    Test(view, data, 0);
    return out;
}

// `with FpEnvironment():` - what NumPy converts inside is not at the mercy of the caller's
// settings.
class FpEnvironment {
  public:
    void enter() { scope_.emplace(); }
    void exit(const py::args&) { scope_.reset(); }

  private:
    std::optional<FpEnvScope> scope_;
};

py::tuple narrowed(const Array<double>& a) {
    if (a.ndim() != 2) throw std::invalid_argument("expected a matrix");
    const auto rows = static_cast<std::size_t>(a.shape(0));
    const auto dim = static_cast<std::size_t>(a.shape(1));
    Array<float> out({rows, dim});
    float* data = out.mutable_data();
    std::int64_t row = -1;
    {
        const NoGil nogil;
        row = narrow(a.data(), rows, dim, data);
    }
    return py::make_tuple(out, row);
}

// The rows, the first in which a value overflows or -1, and the largest and the mean error.
template <class T>
py::tuple rounded(const Array<T>& wide, RowType half, int threads) {
    if (wide.ndim() != 2) throw std::invalid_argument("expected a matrix");
    const auto n = static_cast<std::size_t>(wide.shape(0));
    const auto dim = static_cast<std::size_t>(wide.shape(1));
    if (half == RowType::kFloat32) throw std::invalid_argument("expected a type to round to");
    py::array out(dtype_of(half), std::vector<py::ssize_t>{wide.shape(0), wide.shape(1)});
    auto* data = static_cast<std::uint16_t*>(out.mutable_data());
    RoundingLoss loss;
    {
        const NoGil nogil;
        if constexpr (std::is_same_v<T, float>) {
            loss = round_rows(MatrixView{wide.data(), n, dim}, half, data, threads);
        } else {
            loss = round_rows(wide.data(), n, dim, half, data, threads);
        }
    }
    return py::make_tuple(out, loss.overflow, loss.largest, loss.mean);
}

}  // namespace

RowsView rows_of(const py::array& a) {
    constexpr auto kAsTheyLie =
        py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    for (const RowType type : {RowType::kFloat32, RowType::kFloat16, RowType::kBFloat16}) {
        if (!a.dtype().equal(dtype_of(type))) continue;
        if (a.ndim() != 2) throw std::invalid_argument("expected a matrix");
        if ((a.flags() & kAsTheyLie) != kAsTheyLie) break;
        return {RowPointer(a.data(), type), static_cast<std::size_t>(a.shape(0)),
                static_cast<std::size_t>(a.shape(1))};
    }
    throw std::invalid_argument("expected contiguous values of type float32, float16 or uint16");
}

py::dtype dtype_of(RowType type) {
    switch (type) {
        case RowType::kFloat16: return py::dtype("e");
        case RowType::kBFloat16: return py::dtype::of<std::uint16_t>();
        case RowType::kFloat32: break;
    }
    return py::dtype::of<float>();
}

bool are_id_rows(py::handle values, py::handle offsets) {
    using Ids = Array<std::int64_t>;
    if (!is_ready<std::int64_t>(values, 1) || !is_ready<std::int64_t>(offsets, 1)) return false;
    const auto o = py::reinterpret_borrow<Ids>(offsets);
    if (o.writeable() || o.size() == 0) return false;
    const std::int64_t* const first = o.data();
    return first[0] == 0 && std::is_sorted(first, first + o.size()) &&
           first[o.size() - 1] == py::reinterpret_borrow<Ids>(values).size();
}

void register_values(py::module_& m) {
    py::native_enum<RowType>(m, "RowType", "enum.Enum")
        .value("float32", RowType::kFloat32)
        .value("float16", RowType::kFloat16)
        .value("bfloat16", RowType::kBFloat16)
        .finalize();
    m.def("round_rows", &rounded<float>, py::arg("wide").noconvert(), py::arg("half"),
          py::arg("threads"));
    m.def("round_rows", &rounded<double>, py::arg("wide").noconvert(), py::arg("half"),
          py::arg("threads"));
    m.def("first_nonfinite_row", &first_row_that<first_nonfinite_row>, py::arg("rows").noconvert());
    m.def("first_zero_row", &first_row_that<first_zero_row>, py::arg("rows").noconvert());
    m.def("finite_rows", &rows_that<finite_rows>, py::arg("rows").noconvert());
    m.def("zero_rows", &rows_that<zero_rows>, py::arg("rows").noconvert());
    m.def("are_id_rows", &are_id_rows, py::arg("values"), py::arg("offsets"));
    py::class_<FpEnvironment>(m, "FpEnvironment")
        .def(py::init<>())
        .def("__enter__", &FpEnvironment::enter)
        .def("__exit__", &FpEnvironment::exit);
    m.def("narrow", &narrowed, py::arg("wide").noconvert());
}

}  // namespace vecrecall::python
