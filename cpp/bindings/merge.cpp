#include "vecrecall/merge.hpp"

#include <pybind11/stl.h>

#include <vector>

#include "register.hpp"

namespace vecrecall::python {
namespace {

using ListArrays = std::tuple<Array<std::int64_t>, Array<float>, Array<std::int32_t>>;

ListsView lists_view(const ListArrays& arrays) {
    const auto& [ids, scores, counts] = arrays;
    if (ids.ndim() != 2 || scores.ndim() != 2 || ids.shape(0) != scores.shape(0) ||
        ids.shape(1) != scores.shape(1) || counts.size() != ids.shape(0)) {
        throw std::invalid_argument("expected ids and scores of one shape and a count a row");
    }
    for (py::ssize_t r = 0; r < counts.size(); ++r) {
        if (counts.at(r) < 0 || counts.at(r) > ids.shape(1)) {
            throw std::invalid_argument("expected counts within the lists' width");
        }
    }
    return {ids.data(), scores.data(), counts.data(), static_cast<std::size_t>(ids.shape(0)),
            static_cast<std::size_t>(ids.shape(1))};
}

py::tuple shards(const std::vector<ListArrays>& results, std::size_t k, int threads) {
    std::vector<ListsView> views;
    for (const ListArrays& arrays : results) views.push_back(lists_view(arrays));
    for (const ListsView& view : views) {
        if (view.rows != views.front().rows) throw std::invalid_argument("expected equal rows");
    }
    Lists lists(views.empty() ? 0 : views.front().rows, k);
    const ListsOut out = lists.out();
    {
        const py::gil_scoped_release nogil;
        merge_shards(views, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts);
}

py::tuple groups(const ListArrays& result, const Array<std::int64_t>& offsets, std::size_t k,
                 bool sum, int threads) {
    const ListsView view = lists_view(result);
    if (offsets.size() == 0 ||
        offsets.at(offsets.size() - 1) != static_cast<std::int64_t>(view.rows)) {
        throw std::invalid_argument("expected offsets that end at the number of rows");
    }
    const auto n = static_cast<std::size_t>(offsets.size()) - 1;
    Lists lists(n, k);
    Array<std::int32_t> hits({n, k});
    Array<std::int64_t> winner({n, k});
    const GroupsOut out{lists.out(), hits.mutable_data(), winner.mutable_data()};
    {
        const py::gil_scoped_release nogil;
        merge_groups(view, offsets.data(), sum ? Join::kSum : Join::kMax, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts, hits, winner);
}

}  // namespace

void register_merge(py::module_& m) {
    m.def("merge_shards", &shards, py::arg("results"), py::arg("k"), py::arg("threads"));
    m.def("merge_groups", &groups, py::arg("result"), py::arg("offsets").noconvert(), py::arg("k"),
          py::arg("sum"), py::arg("threads"));
}

}  // namespace vecrecall::python
