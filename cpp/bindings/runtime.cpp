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
    m.def("unavailable_isas", [] {
        py::dict reasons;
        for (const UnavailableIsa& isa : unavailable_isas()) {
            reasons[py::str(isa.name)] = isa.reason;
        }
        return reasons;
    });
    m.def("set_isa", &set_isa, py::arg("name"));
    m.def("num_threads", &num_threads);
    m.def(
        "product_limits",
        [](int threads) {
            ProductLimits limits;
            {
                const NoGil nogil;
                limits = product_limits(threads);
            }
            return py::make_tuple(limits.f32, limits.i8, limits.i8_vectors);
        },
        py::arg("threads"));
    m.def(
        "read_limit",
        [](int threads) {
            const NoGil nogil;
            return read_limit(threads);
        },
        py::arg("threads"));
    m.def("set_num_threads", &set_num_threads, py::arg("n"));
}

}  // namespace vecrecall::python
