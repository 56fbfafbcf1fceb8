#include "vecrecall/values.hpp"

#include <algorithm>
#include <optional>

#include "platform/fp_env.hpp"
#include "register.hpp"

namespace vecrecall::python {
namespace {

template <std::int64_t (*Find)(const MatrixView&, int)>
std::int64_t first_row_that(const Array<float>& a) {
    const MatrixView view = matrix(a);
    const NoGil nogil;
    return Find(view, 0);
}

template <void (*Test)(const MatrixView&, std::uint8_t*, int)>
Array<std::uint8_t> rows_that(const Array<float>& a) {
    const MatrixView view = matrix(a);
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

}  // namespace

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
    m.def("first_nonfinite_row", &first_row_that<first_nonfinite_row>,
          py::arg("matrix").noconvert());
    m.def("first_zero_row", &first_row_that<first_zero_row>, py::arg("matrix").noconvert());
    m.def("finite_rows", &rows_that<finite_rows>, py::arg("matrix").noconvert());
    m.def("zero_rows", &rows_that<zero_rows>, py::arg("matrix").noconvert());
    m.def("are_id_rows", &are_id_rows, py::arg("values"), py::arg("offsets"));
    py::class_<FpEnvironment>(m, "FpEnvironment")
        .def(py::init<>())
        .def("__enter__", &FpEnvironment::enter)
        .def("__exit__", &FpEnvironment::exit);
    m.def("narrow", &narrowed, py::arg("wide").noconvert());
}

}  // namespace vecrecall::python
