#include "register.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "The compiled core of vecrecall. Private: use the functions of the package.";
    vecrecall::python::register_cancelled();
    vecrecall::python::register_cancel_token(m);
    vecrecall::python::register_runtime(m);
    vecrecall::python::register_values(m);
    vecrecall::python::register_flat_index(m);
    vecrecall::python::register_candidates(m);
    vecrecall::python::register_clustering(m);
    vecrecall::python::register_merge(m);
    vecrecall::python::register_pool(m);
    vecrecall::python::register_feed(m);
}
