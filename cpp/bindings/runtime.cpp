#include <pybind11/stl.h>

#include "register.hpp"
#include "vecrecall/isa.hpp"
#include "vecrecall/limits.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::python {

void register_runtime(py::module_& m) {
    m.attr("MAX_THREADS") = kMaxThreads;
    m.def("isa", &isa);
    m.def("available_isas", &available_isas);
    m.def("set_isa", &set_isa, py::arg("name"));
    m.def("num_threads", &num_threads);
    m.def(
        "machine_limits",
        [](int threads) {
            MachineLimits limits;
            {
                const NoGil nogil;
                limits = machine_limits(threads);
            }
            return py::make_tuple(limits.f32_products, limits.i8_products, limits.bytes_read);
        },
        py::arg("threads"));
    m.def("set_num_threads", &set_num_threads, py::arg("n"));
}

}  // namespace vecrecall::python
