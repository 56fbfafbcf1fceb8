#include "vecrecall/flat_index.hpp"

#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "id_map.hpp"
#include "register.hpp"

namespace vecrecall::python {
namespace {

using OptionalIds = std::optional<Array<std::int64_t>>;
using OptionalBias = std::optional<Array<double>>;
using AllowBits = std::optional<std::vector<Array<std::uint64_t>>>;

ItemsView items_view(const Array<float>& vectors, const OptionalIds& ids,
                     const OptionalBias& bias) {
    ItemsView items{.rows = matrix(vectors)};
    const auto check = [&](py::ssize_t size) {
        if (size != vectors.shape(0)) throw std::invalid_argument("expected one value a row");
    };
    if (ids) {
        check(ids->size());
        items.ids = ids->data();
    }
    if (bias) {
        check(bias->size());
        items.bias = bias->data();
    }
    return items;
}

MatrixView checked_queries(const Array<float>& queries, std::size_t dim) {
    const MatrixView view = matrix(queries);
    if (view.dim != dim) throw std::invalid_argument("expected queries of the index's width");
    return view;
}

// The index and the arrays that it may borrow.
class Index {
  public:
    Index(Array<float> vectors, const OptionalIds& ids, Metric metric, const OptionalBias& bias,
          bool copy, bool codes, int threads)
        : vectors_(copy ? Array<float>() : vectors),
          index_(build(items_view(vectors, ids, bias), metric,
                       {.copy = copy, .codes = codes, .threads = threads})) {}

    const FlatIndex& index() const { return index_; }

    py::tuple search(const Array<float>& queries, std::size_t k,
                     const std::optional<py::tuple>& exclude, const AllowBits& allow,
                     double min_score, int threads) const {
        const MatrixView view = checked_queries(queries, index_.dim());
        SearchOptions options{.k = k, .min_score = min_score, .threads = threads};
        std::optional<std::pair<Array<std::int64_t>, Array<std::int64_t>>> kept;
        if (exclude) {
            kept.emplace((*exclude)[0].cast<Array<std::int64_t>>(),
                         (*exclude)[1].cast<Array<std::int64_t>>());
            options.exclude = ragged(kept->first, kept->second);
            if (options.exclude.rows != view.rows) {
                throw std::invalid_argument("expected one row of excluded ids a query");
            }
        }
        const std::vector<const std::uint64_t*> bits = allow_rows(allow, view.rows);
        if (allow) options.allow = bits.data();
        Lists lists(view.rows, k);
        const ListsOut out = lists.out();
        SearchStats stats;
        {
            const py::gil_scoped_release nogil;
            stats = index_.search(view, options, out);
        }
        return py::make_tuple(
            lists.ids, lists.scores, lists.counts,
            py::make_tuple(stats.items_scanned, stats.rows_rescored, stats.precision));
    }

    Array<float> score(const Array<float>& queries, const Array<std::int64_t>& values,
                       const Array<std::int64_t>& offsets, int threads) const {
        const MatrixView view = checked_queries(queries, index_.dim());
        const RaggedView<std::int64_t> candidates = ragged(values, offsets);
        if (candidates.rows != view.rows) throw std::invalid_argument("expected one row a query");
        Array<float> scores(values.size());
        float* out = scores.mutable_data();
        const py::gil_scoped_release nogil;
        index_.score(view, candidates, out, threads);
        return scores;
    }

    Array<std::int64_t> ids() const {
        Array<std::int64_t> out(index_.size());
        index_.ids(out.mutable_data());
        return out;
    }

    Array<std::int64_t> find(const Array<std::int64_t>& ids) const {
        Array<std::int64_t> rows(ids.size());
        std::int64_t* out = rows.mutable_data();
        const py::gil_scoped_release nogil;
        index_.find(ids.data(), static_cast<std::size_t>(ids.size()), out);
        return rows;
    }

    Array<float> rows(const Array<std::int64_t>& numbers) const {
        const std::size_t dim = index_.dim();
        Array<float> out({static_cast<std::size_t>(numbers.size()), dim});
        for (py::ssize_t i = 0; i < numbers.size(); ++i) {
            const std::int64_t row = numbers.at(i);
            if (row < 0 || row >= static_cast<std::int64_t>(index_.size())) {
                throw std::out_of_range("row outside the index");
            }
            const float* from = index_.row(static_cast<std::size_t>(row));
            std::copy(from, from + dim, out.mutable_data() + static_cast<std::size_t>(i) * dim);
        }
        return out;
    }

    Array<std::uint64_t> rows_of(const Array<std::int64_t>& ids, bool complement) const {
        std::vector<std::uint64_t> bits;
        {
            const py::gil_scoped_release nogil;
            bits = index_.rows_of(ids.data(), static_cast<std::size_t>(ids.size()), complement);
        }
        return Array<std::uint64_t>(static_cast<py::ssize_t>(bits.size()), bits.data());
    }

  private:
    static FlatIndex build(const ItemsView& items, Metric metric, const BuildOptions& options) {
        const py::gil_scoped_release nogil;
        return FlatIndex(items, metric, options);
    }

    // One array serves all queries, or each has its own.
    std::vector<const std::uint64_t*> allow_rows(const AllowBits& allow,
                                                 std::size_t queries) const {
        std::vector<const std::uint64_t*> rows;
        if (!allow) return rows;
        const std::size_t words = index_.rows_of(nullptr, 0, false).size();
        if (allow->size() != 1 && allow->size() != queries) {
            throw std::invalid_argument("expected one mask, or one a query");
        }
        for (std::size_t q = 0; q < queries; ++q) {
            const Array<std::uint64_t>& bits = (*allow)[allow->size() == 1 ? 0 : q];
            if (static_cast<std::size_t>(bits.size()) != words) {
                throw std::invalid_argument("expected a mask of this index");
            }
            rows.push_back(bits.data());
        }
        return rows;
    }

    Array<float> vectors_;
    FlatIndex index_;
};

py::tuple topk_lists(const Array<float>& queries, const Array<float>& items, Metric metric,
                     std::size_t k, int threads) {
    const ItemsView view = items_view(items, std::nullopt, std::nullopt);
    const MatrixView checked = checked_queries(queries, view.rows.dim);
    Lists lists(checked.rows, k);
    const ListsOut out = lists.out();
    {
        const py::gil_scoped_release nogil;
        topk(checked, view, metric, k, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts);
}

}  // namespace

void register_flat_index(py::module_& m) {
    py::native_enum<Metric>(m, "Metric", "enum.Enum")
        .value("ip", Metric::kIp)
        .value("cosine", Metric::kCosine)
        .value("l2", Metric::kL2)
        .finalize();
    py::class_<Index>(m, "FlatIndex")
        .def(py::init<Array<float>, const OptionalIds&, Metric, const OptionalBias&, bool, bool,
                      int>(),
             py::arg("vectors").noconvert(), py::arg("ids").noconvert(), py::arg("metric"),
             py::arg("bias").noconvert(), py::arg("copy"), py::arg("codes"), py::arg("threads"))
        .def("__len__", [](const Index& i) { return i.index().size(); })
        .def_property_readonly("dim", [](const Index& i) { return i.index().dim(); })
        .def("search", &Index::search, py::arg("queries").noconvert(), py::arg("k"),
             py::arg("exclude"), py::arg("allow"), py::arg("min_score"), py::arg("threads"))
        .def("score", &Index::score, py::arg("queries").noconvert(), py::arg("values").noconvert(),
             py::arg("offsets").noconvert(), py::arg("threads"))
        .def("ids", &Index::ids)
        .def("find", &Index::find, py::arg("ids").noconvert())
        .def("rows", &Index::rows, py::arg("numbers").noconvert())
        .def("rows_of", &Index::rows_of, py::arg("ids").noconvert(), py::arg("complement"));
    m.def(
        "check_ids",
        [](const Array<std::int64_t>& ids) {
            const IdMap checked(ids.data(), static_cast<std::size_t>(ids.size()));
        },
        py::arg("ids").noconvert());
    m.def("topk", &topk_lists, py::arg("queries").noconvert(), py::arg("items").noconvert(),
          py::arg("metric"), py::arg("k"), py::arg("threads"));
}

}  // namespace vecrecall::python
