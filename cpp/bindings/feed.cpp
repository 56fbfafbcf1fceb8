#include "vecrecall/feed.hpp"

#include <pybind11/stl.h>

#include <optional>

#include "register.hpp"

namespace vecrecall::python {
namespace {

using Ids = Array<std::int64_t>;
using Numbers = Array<double>;

void check_size(py::ssize_t size, py::ssize_t n) {
    if (size != n) throw std::invalid_argument("expected arrays of equal length");
}

// The argument's name and the place of what is wrong with it, or None.
py::object observe(ClusterFeed& feed, const Ids& clusters, const Ids& items, const Numbers& times,
                   const std::optional<Ids>& users, const std::optional<Numbers>& weights) {
    const py::ssize_t n = clusters.size();
    check_size(items.size(), n);
    check_size(times.size(), n);
    if (users) check_size(users->size(), n);
    if (weights) check_size(weights->size(), n);
    const Clicks clicks{.clusters = clusters.data(),
                        .items = items.data(),
                        .times = times.data(),
                        .users = users ? users->data() : nullptr,
                        .weights = weights ? weights->data() : nullptr,
                        .size = static_cast<std::size_t>(n)};
    std::optional<ClickFault> fault;
    {
        const NoGil nogil;
        fault = feed.observe(clicks);
    }
    if (!fault) return py::none();
    constexpr const char* kNames[] = {"clusters", "items", "times", "users", "weights"};
    return py::make_tuple(kNames[fault->argument], fault->place);
}

py::tuple top(const ClusterFeed& feed, const Ids& clusters, std::size_t k, double now,
              const std::optional<std::pair<Ids, Ids>>& exclude, int threads) {
    Lists lists(static_cast<std::size_t>(clusters.size()), k);
    const ListsOut out = lists.out();
    RaggedView<std::int64_t> excluded;
    if (exclude) {
        excluded = ragged(exclude->first, exclude->second);
        if (excluded.rows != out.rows) throw std::invalid_argument("expected one row per cluster");
    }
    {
        const NoGil nogil;
        feed.top(clusters.data(), now, excluded, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts);
}

py::tuple related(const ClusterFeed& feed, const Ids& clusters, const Ids& items, std::size_t k,
                  double now, int threads) {
    check_size(items.size(), clusters.size());
    Lists lists(static_cast<std::size_t>(clusters.size()), k);
    const ListsOut out = lists.out();
    {
        const NoGil nogil;
        feed.related(clusters.data(), items.data(), now, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts);
}

std::int64_t first_unknown(const ClusterFeed& feed, const Ids& clusters) {
    const auto n = static_cast<std::size_t>(clusters.size());
    const std::size_t place = feed.first_unknown(clusters.data(), n);
    return place < n ? static_cast<std::int64_t>(place) : -1;
}

template <class T>
Array<T> to_array(const std::vector<T>& values) {
    return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::dict state(const ClusterFeed& feed) {
    FeedState s;
    {
        const NoGil nogil;
        s = feed.state();
    }
    py::dict arrays;
    FeedState::visit(s, [&](const char* name, const auto& v) {
        arrays[name] = to_array(v);
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    });
    return arrays;
}

void restore(ClusterFeed& feed, const py::dict& arrays) {
    FeedState s;
    FeedState::visit(s, [&]<class T>(const char* name, std::vector<T>& v) {
        const py::object value = arrays[name];
        if (!py::isinstance<Array<T>>(value)) {
            throw std::invalid_argument(std::string("state: expected flat arrays, got another ") +
                                        name);
        }
        const auto a = value.cast<Array<T>>();
        v.assign(a.data(), a.data() + a.size());
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    });
    const NoGil nogil;
    feed.restore(s);
}

}  // namespace

void register_feed(py::module_& m) {
    const auto make = [](std::size_t clusters, double half_life, std::size_t capacity,
                         std::size_t history, std::size_t max_users) {
        return std::make_unique<ClusterFeed>(FeedOptions{.clusters = clusters,
                                                         .half_life = half_life,
                                                         .capacity = capacity,
                                                         .history = history,
                                                         .max_users = max_users});
    };
    py::class_<ClusterFeed>(m, "ClusterFeed")
        .def(py::init(make), py::arg("clusters"), py::arg("half_life"), py::arg("capacity"),
             py::arg("history"), py::arg("max_users"))
        .def("observe", &observe, py::arg("clusters").noconvert(), py::arg("items").noconvert(),
             py::arg("times").noconvert(), py::arg("users").noconvert(),
             py::arg("weights").noconvert())
        .def("first_unknown", &first_unknown, py::arg("clusters").noconvert())
        .def("top", &top, py::arg("clusters").noconvert(), py::arg("k"), py::arg("now"),
             py::arg("exclude"), py::arg("threads"))
        .def("related", &related, py::arg("clusters").noconvert(), py::arg("items").noconvert(),
             py::arg("k"), py::arg("now"), py::arg("threads"))
        .def("state", &state)
        .def("restore", &restore, py::arg("state"))
        .def_property_readonly("knows_users", &ClusterFeed::knows_users);
}

}  // namespace vecrecall::python
