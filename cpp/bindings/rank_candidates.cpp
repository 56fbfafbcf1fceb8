#include "vecrecall/candidates.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "register.hpp"

namespace vecrecall::python {
namespace {

using Ids = Array<std::int64_t>;
using Sets = std::vector<std::tuple<Ids, bool>>;  // ascending ids, or all others

void check(const Ids& ids, const Array<float>& scores) {
    if (ids.ndim() != 2 || scores.ndim() != 2 || ids.shape(0) != scores.shape(0) ||
        ids.shape(1) != scores.shape(1)) {
        throw std::invalid_argument("expected ids and scores of one shape");
    }
}

py::tuple ranked(const Ids& ids, const Array<float>& scores, std::size_t k,
                 const std::optional<std::pair<Ids, Ids>>& exclude, const Sets& allow,
                 int threads) {
    check(ids, scores);
    const auto rows = static_cast<std::size_t>(ids.shape(0));
    CandidateFilters filters;
    if (exclude) {
        filters.exclude = ragged(exclude->first, exclude->second);
        if (filters.exclude.rows != rows) throw std::invalid_argument("expected one row per list");
    }
    for (const auto& [set, complement] : allow) {
        filters.allow.push_back({set.data(), static_cast<std::size_t>(set.size()), complement});
    }
    if (allow.size() > 1 && allow.size() != rows) {
        throw std::invalid_argument("expected one set of ids, or one per list");
    }
    Lists lists(rows, k);
    const ListsOut out = lists.out();
    {
        const NoGil nogil;
        rank_candidates({ids.data(), scores.data(), static_cast<std::size_t>(ids.shape(1))},
                        filters, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts,
                          rows == 0 ? 0 : *std::min_element(out.counts, out.counts + rows));
}

}  // namespace

void register_candidates(py::module_& m) {
    m.def("rank_candidates", &ranked, py::arg("ids").noconvert(), py::arg("scores").noconvert(),
          py::arg("k"), py::arg("exclude"), py::arg("allow"), py::arg("threads"));
}

}  // namespace vecrecall::python
