#include "vecrecall/flat_index.hpp"

#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "core/id_map.hpp"
#include "register.hpp"
#include "vecrecall/index_arrays.hpp"
#include "vecrecall/ivf_index.hpp"

namespace vecrecall::python {
namespace {

using OptionalIds = std::optional<Array<std::int64_t>>;
using OptionalBias = std::optional<Array<double>>;
// Copied, from anywhere.
constexpr std::size_t kRowsBetweenChecks = 1024;

using Masks = std::optional<std::vector<const IdMask*>>;

ItemsView items_view(const py::array& vectors, const OptionalIds& ids, const OptionalBias& bias) {
    ItemsView items{.rows = rows_of(vectors)};
    const auto check = [&](py::ssize_t size) {
        if (size != vectors.shape(0)) throw std::invalid_argument("expected one value per row");
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

// Keeps arrays for those who read their memory, whatever thread lets go of it last.
std::shared_ptr<const void> owner_of(const py::object& object) {
    return {object.ptr(), [kept = py::object(object).release()](const void*) mutable {
                if (Py_IsInitialized() == 0) return;
                const py::gil_scoped_acquire gil;
                kept.dec_ref();
            }};
}

FlatIndex make_index(const py::array& vectors, const OptionalIds& ids, Metric metric,
                     const OptionalBias& bias, bool copy, bool codes, int threads) {
    const ItemsView items = items_view(vectors, ids, bias);
    const BuildOptions options{.copy = copy,
                               .codes = codes,
                               .threads = threads,
                               .owner = copy ? nullptr : owner_of(vectors)};
    const NoGil nogil;
    return FlatIndex(items, metric, options);
}

// Looks at an array in place, read-only.
py::array view(const py::dtype& dtype, const void* data, const std::vector<py::ssize_t>& shape,
               const py::object& owner) {
    py::array array(dtype, shape, data, owner);
    array.attr("setflags")(py::arg("write") = false);
    return array;
}

template <class T>
py::array view(const ArrayView<T>& part, const py::object& owner) {
    return view(py::dtype::of<T>(), part.data, {static_cast<py::ssize_t>(part.size)}, owner);
}

// By name; those that are missing are left out.
py::dict to_arrays(const py::object& self) {
    const IndexArrays parts = self.cast<const Snapshot&>().parts();
    py::dict named;
    const auto n = static_cast<py::ssize_t>(parts.rows.rows);
    named["rows"] = view(dtype_of(parts.rows.type), parts.rows.data,
                         {n, static_cast<py::ssize_t>(parts.rows.dim)}, self);
    named["center"] = view(parts.center, self);
    named["block_bounds"] = view(parts.block_bounds, self);
    if (parts.ids.size != 0) named["ids"] = view(parts.ids, self);
    if (parts.bias.size != 0) named["bias"] = view(parts.bias, self);
    if (parts.order.size != 0) named["order"] = view(parts.order, self);
    if (parts.row_terms.size != 0) named["row_terms"] = view(parts.row_terms, self);
    if (parts.along.size != 0) named["along"] = view(parts.along, self);
    if (parts.code_bounds.size != 0) {
        named["codes"] = view(parts.codes, self);
        named["code_bounds"] = view(parts.code_bounds, self);
    }
    if (parts.list_settings.size != 0) {
        named["list_centers"] = view(parts.list_centers, self);
        named["list_sizes"] = view(parts.list_sizes, self);
        if (parts.list_spreads.size != 0) named["list_spreads"] = view(parts.list_spreads, self);
        named["list_settings"] = view(parts.list_settings, self);
    }
    return named;
}

// The named array, of this type and as it must lie, or nothing.
template <class T>
std::optional<Array<T>> part(const py::dict& named, const char* name) {
    if (!named.contains(name)) return std::nullopt;
    const py::object found = named[name];
    const bool fits =
        py::isinstance<Array<T>>(found) && (py::reinterpret_borrow<py::array>(found).flags() &
                                            py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
    if (!fits) {
        throw std::invalid_argument(std::string(name) + ": expected contiguous values of type " +
                                    py::str(py::dtype::of<T>()).cast<std::string>());
    }
    return py::reinterpret_borrow<Array<T>>(found);
}

template <class T>
ArrayView<T> values(const py::dict& named, const char* name) {
    const std::optional<Array<T>> array = part<T>(named, name);
    if (!array) return {};
    if (array->ndim() != 1) throw std::invalid_argument(std::string(name) + ": expected a vector");
    return {array->data(), static_cast<std::size_t>(array->size())};
}

RowsView rows_part(const py::dict& named) {
    const py::object rows = named.contains("rows") ? py::object(named["rows"]) : py::none();
    if (!py::isinstance<py::array>(rows)) throw std::invalid_argument("rows: expected a matrix");
    try {
        return rows_of(py::reinterpret_borrow<py::array>(rows));
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument(std::string("rows: ") + error.what());
    }
}

// Keeps the dict, and with it the arrays.
template <class Index>
Index index_from(const py::dict& named, Metric metric) {
    const IndexArrays parts{.metric = metric,
                            .rows = rows_part(named),
                            .ids = values<std::int64_t>(named, "ids"),
                            .bias = values<double>(named, "bias"),
                            .order = values<std::uint32_t>(named, "order"),
                            .center = values<float>(named, "center"),
                            .row_terms = values<float>(named, "row_terms"),
                            .along = values<float>(named, "along"),
                            .block_bounds = values<double>(named, "block_bounds"),
                            .codes = values<std::uint8_t>(named, "codes"),
                            .code_bounds = values<double>(named, "code_bounds"),
                            .list_centers = values<float>(named, "list_centers"),
                            .list_sizes = values<std::uint32_t>(named, "list_sizes"),
                            .list_spreads = values<float>(named, "list_spreads"),
                            .list_settings = values<std::int64_t>(named, "list_settings")};
    std::shared_ptr<const void> owner = owner_of(named);
    const NoGil nogil;
    return Index(parts, std::move(owner));
}

template <void (FlatIndex::*Change)(const ItemsView&, int)>
void change(FlatIndex& index, const py::array& vectors, const Array<std::int64_t>& ids,
            const OptionalBias& bias, int threads) {
    const ItemsView items = items_view(vectors, ids, bias);
    const NoGil nogil;
    (index.*Change)(items, threads);
}

// Returns the first of the new ids.
std::int64_t append(FlatIndex& index, const py::array& vectors, const OptionalBias& bias,
                    std::int64_t after, int threads) {
    const ItemsView items = items_view(vectors, std::nullopt, bias);
    const NoGil nogil;
    return index.append(items, after, threads);
}

void remove_ids(FlatIndex& index, const Array<std::int64_t>& ids, bool ignore_unknown,
                int threads) {
    try {
        const NoGil nogil;
        index.remove(ids.data(), static_cast<std::size_t>(ids.size()), ignore_unknown, threads);
    } catch (const std::out_of_range& error) {
        throw py::key_error(error.what());
    }
}

// One mask serves all queries, or each has its own.
std::vector<const IdMask*> allow_masks(const std::vector<const IdMask*>& given,
                                       std::size_t queries) {
    for (const IdMask* mask : given) {
        if (mask == nullptr) throw std::invalid_argument("expected masks, got none");
    }
    if (given.size() == queries) return given;
    if (given.size() != 1) throw std::invalid_argument("expected one mask, or one per query");
    return std::vector<const IdMask*>(queries, given.front());
}

// The items that a query may get, in arrays that are kept meanwhile.
class Filters {
  public:
    template <class Options>
    Filters(const std::optional<py::tuple>& exclude, const Masks& allow, std::size_t queries,
            Options& options) {
        if (exclude) {
            values_ = (*exclude)[0].cast<Array<std::int64_t>>();
            offsets_ = (*exclude)[1].cast<Array<std::int64_t>>();
            options.exclude = ragged(values_, offsets_);
            if (options.exclude.rows != queries) {
                throw std::invalid_argument("expected one row of excluded ids per query");
            }
        }
        if (allow) {
            masks_ = allow_masks(*allow, queries);
            options.allow = masks_.data();
        }
    }

  private:
    Array<std::int64_t> values_;
    Array<std::int64_t> offsets_;
    std::vector<const IdMask*> masks_;
};

py::tuple search(const Snapshot& snapshot, const Array<float>& queries, std::size_t k,
                 const std::optional<py::tuple>& exclude, const Masks& allow, double min_score,
                 std::size_t probes, int threads) {
    const MatrixView view = checked_queries(queries, snapshot.dim());
    SearchOptions options{.k = k, .min_score = min_score, .probes = probes, .threads = threads};
    const Filters filters(exclude, allow, view.rows, options);
    Lists lists(view.rows, k);
    const ListsOut out = lists.out();
    SearchStats stats;
    {
        const NoGil nogil;
        stats = snapshot.search(view, options, out);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts,
                          py::make_tuple(stats.items_scanned, stats.rows_reranked, stats.precision,
                                         stats.lists_probed, stats.queries_widened),
                          snapshot.has_bias());
}

// An array of NumPy's that owns what was made elsewhere.
template <class Values>
py::array owning(Values values) {
    auto kept = std::make_unique<Values>(std::move(values));
    const auto size = static_cast<py::ssize_t>(kept->size());
    const auto* data = kept->data();
    const py::capsule owner(kept.get(), [](void* p) { delete static_cast<Values*>(p); });
    (void)kept.release();
    return py::array(py::dtype::of<std::remove_cvref_t<decltype(*data)>>(), {size}, data, owner);
}

py::tuple search_above(const Snapshot& snapshot, const Array<float>& queries,
                       const Array<double>& min_scores, std::size_t limit,
                       const std::optional<py::tuple>& exclude, const Masks& allow, int threads) {
    const MatrixView view = checked_queries(queries, snapshot.dim());
    if (static_cast<std::size_t>(min_scores.size()) != view.rows) {
        throw std::invalid_argument("expected one score per query");
    }
    AboveOptions options{.min_scores = min_scores.data(), .limit = limit, .threads = threads};
    const Filters filters(exclude, allow, view.rows, options);
    RaggedLists lists;
    {
        const NoGil nogil;
        lists = snapshot.search_above(view, options);
    }
    return py::make_tuple(owning(std::move(lists.ids)), owning(std::move(lists.scores)),
                          owning(std::move(lists.offsets)));
}

Array<float> score(const Snapshot& snapshot, const Array<float>& queries,
                   const Array<std::int64_t>& values, const Array<std::int64_t>& offsets,
                   int threads) {
    const MatrixView view = checked_queries(queries, snapshot.dim());
    const RaggedView<std::int64_t> candidates = ragged(values, offsets);
    if (candidates.rows != view.rows) throw std::invalid_argument("expected one row per query");
    Array<float> scores(values.size());
    float* out = scores.mutable_data();
    const NoGil nogil;
    snapshot.score(view, candidates, out, threads);
    return scores;
}

Array<std::int64_t> ids_of(const Snapshot& snapshot) {
    Array<std::int64_t> out(snapshot.size());
    std::int64_t* to = out.mutable_data();
    const NoGil nogil;
    snapshot.ids(to);
    return out;
}

py::array_t<bool> contains(const Snapshot& snapshot, const Array<std::int64_t>& ids) {
    const auto n = static_cast<std::size_t>(ids.size());
    py::array_t<bool> out(ids.size());
    bool* known = out.mutable_data();
    const NoGil nogil;
    std::vector<std::int64_t> rows(n);
    snapshot.find(ids.data(), n, rows.data());
    std::transform(rows.begin(), rows.end(), known, [](std::int64_t row) { return row >= 0; });
    return out;
}

// Which of the ids are known, by their places, and their vectors.
py::tuple known_vectors(const Snapshot& snapshot, const Array<std::int64_t>& ids) {
    const auto n = static_cast<std::size_t>(ids.size());
    std::vector<std::int64_t> rows(n);
    std::vector<std::int64_t> places;
    {
        const NoGil nogil;
        snapshot.find(ids.data(), n, rows.data());
        for (std::size_t i = 0; i < n; ++i) {
            if (rows[i] >= 0) places.push_back(static_cast<std::int64_t>(i));
        }
    }
    const std::size_t dim = snapshot.dim();
    Array<float> out({places.size(), dim});
    float* to = out.mutable_data();
    {
        const NoGil nogil;
        for (std::size_t i = 0; i < places.size(); ++i) {
            if (i % kRowsBetweenChecks == 0) check_cancelled();
            const std::int64_t place = places[i];
            const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(place)]);
            snapshot.row(row, to);
            to += dim;
        }
    }
    return py::make_tuple(
        Array<std::int64_t>(static_cast<py::ssize_t>(places.size()), places.data()), out);
}

// A callable of Python, if any, for work without the lock of the interpreter.
std::function<void(std::size_t, std::size_t)> progress_of(const std::optional<py::function>& call) {
    if (!call) return nullptr;
    return [&call](std::size_t done, std::size_t total) {
        const py::gil_scoped_acquire gil;
        (*call)(done, total);
    };
}

IVFIndex make_ivf_index(const py::array& vectors, const OptionalIds& ids, Metric metric,
                        const OptionalBias& bias, std::size_t n_lists,
                        const std::optional<Array<float>>& centers,
                        const std::optional<Array<float>>& spreads, std::size_t probes,
                        std::uint64_t seed, const std::optional<py::function>& progress,
                        int threads) {
    const ItemsView items = items_view(vectors, ids, bias);
    const IVFOptions options{
        .n_lists = n_lists,
        .seed = seed,
        .centers = centers ? matrix(*centers) : MatrixView{nullptr, 0, 0},
        .spreads =
            spreads ? ArrayView<float>{spreads->data(), static_cast<std::size_t>(spreads->size())}
                    : ArrayView<float>{},
        .probes = probes,
        .threads = threads,
        .progress = progress_of(progress)};
    const NoGil nogil;
    return IVFIndex(items, metric, options);
}

// The sizes of the lists, how many items are in none, and how many there are.
py::tuple stats_of(const IVFIndex& index) {
    IVFStats stats;
    {
        const NoGil nogil;
        stats = index.stats();
    }
    const auto n = static_cast<py::ssize_t>(stats.list_sizes.size());
    return py::make_tuple(Array<std::uint32_t>(n, stats.list_sizes.data()), stats.not_in_lists,
                          stats.n_items);
}

std::size_t tune(IVFIndex& index, const Array<float>& queries, double recall, std::size_t k,
                 int threads) {
    const MatrixView view = checked_queries(queries, index.dim());
    const NoGil nogil;
    return index.tune(view, recall, k, threads);
}

void retrain(IVFIndex& index, const std::optional<py::function>& progress, int threads) {
    const auto tell = progress_of(progress);
    const NoGil nogil;
    index.retrain(threads, tell);
}

// The centers of the lists, and the list of each item in order of insertion, -1 for none.
py::tuple lists_of(const Snapshot& snapshot) {
    const MatrixView centers = snapshot.list_centers();
    Array<float> rows({centers.rows, centers.dim});
    std::copy_n(centers.data, centers.rows * centers.dim, rows.mutable_data());
    Array<std::int64_t> lists(snapshot.size());
    std::int64_t* to = lists.mutable_data();
    {
        const NoGil nogil;
        snapshot.lists(to);
    }
    return py::make_tuple(rows, lists);
}

// Of the lists, zeros where there are none.
Array<float> spreads_of(const Snapshot& snapshot) {
    const ArrayView<float> spreads = snapshot.list_spreads();
    Array<float> out(static_cast<py::ssize_t>(snapshot.list_centers().rows));
    std::fill_n(out.mutable_data(), out.size(), 0.0F);
    std::copy_n(spreads.data, spreads.size, out.mutable_data());
    return out;
}

Array<std::int64_t> rows_looked_at(const Snapshot& snapshot, const Array<float>& queries,
                                   std::size_t probes, int threads) {
    const MatrixView view = checked_queries(queries, snapshot.dim());
    Array<std::int64_t> rows(static_cast<py::ssize_t>(view.rows));
    std::int64_t* to = rows.mutable_data();
    {
        const NoGil nogil;
        snapshot.rows_looked_at(view, probes, to, threads);
    }
    return rows;
}

std::unique_ptr<IdMask> make_mask(const Array<std::int64_t>& ids, bool complement) {
    return std::make_unique<IdMask>(ids.data(), static_cast<std::size_t>(ids.size()), complement);
}

py::tuple topk_lists(const Array<float>& queries, const py::array& items, Metric metric,
                     std::size_t k, int threads) {
    const ItemsView view = items_view(items, std::nullopt, std::nullopt);
    const MatrixView checked = checked_queries(queries, view.rows.dim);
    Lists lists(checked.rows, k);
    const ListsOut out = lists.out();
    {
        const NoGil nogil;
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
    py::class_<IdMask>(m, "IdMask")
        .def(py::init(&make_mask), py::arg("ids").noconvert(), py::arg("complement"));
    py::class_<Snapshot>(m, "Snapshot")
        .def("__len__", &Snapshot::size)
        .def("search", &search, py::arg("queries").noconvert(), py::arg("k"), py::arg("exclude"),
             py::arg("allow"), py::arg("min_score"), py::arg("probes"), py::arg("threads"))
        .def("search_above", &search_above, py::arg("queries").noconvert(),
             py::arg("min_scores").noconvert(), py::arg("limit"), py::arg("exclude"),
             py::arg("allow"), py::arg("threads"))
        .def("score", &score, py::arg("queries").noconvert(), py::arg("values").noconvert(),
             py::arg("offsets").noconvert(), py::arg("threads"))
        .def_property_readonly("has_bias", &Snapshot::has_bias)
        .def_property_readonly("version", &Snapshot::version)
        .def_property_readonly("nbytes", &Snapshot::bytes)
        .def("ids", &ids_of)
        .def("compacted", &Snapshot::compacted, py::arg("threads"), py::call_guard<NoGil>())
        .def("parts", &to_arrays)
        .def("contains", &contains, py::arg("ids").noconvert())
        .def("lists", &lists_of)
        .def("list_spreads", &spreads_of)
        .def("rows_looked_at", &rows_looked_at, py::arg("queries").noconvert(), py::arg("probes"),
             py::arg("threads"))
        .def("known_vectors", &known_vectors, py::arg("ids").noconvert());
    py::class_<FlatIndex>(m, "FlatIndex")
        .def(py::init(&make_index), py::arg("vectors").noconvert(), py::arg("ids").noconvert(),
             py::arg("metric"), py::arg("bias").noconvert(), py::arg("copy"), py::arg("codes"),
             py::arg("threads"))
        .def_static("from_parts", &index_from<FlatIndex>, py::arg("parts"), py::arg("metric"))
        .def_property_readonly("dim", &FlatIndex::dim)
        .def_property_readonly("row_type", &FlatIndex::row_type)
        .def("snapshot", &FlatIndex::snapshot)
        .def("add", &change<&FlatIndex::add>, py::arg("vectors").noconvert(),
             py::arg("ids").noconvert(), py::arg("bias").noconvert(), py::arg("threads"))
        .def("append", &append, py::arg("vectors").noconvert(), py::arg("bias").noconvert(),
             py::arg("after"), py::arg("threads"))
        .def("update", &change<&FlatIndex::update>, py::arg("vectors").noconvert(),
             py::arg("ids").noconvert(), py::arg("bias").noconvert(), py::arg("threads"))
        .def("remove", &remove_ids, py::arg("ids").noconvert(), py::arg("ignore_unknown"),
             py::arg("threads"))
        .def("compact", &FlatIndex::compact, py::arg("threads"), py::call_guard<NoGil>());
    py::class_<IVFIndex, FlatIndex>(m, "IVFIndex")
        .def(py::init(&make_ivf_index), py::arg("vectors").noconvert(), py::arg("ids").noconvert(),
             py::arg("metric"), py::arg("bias").noconvert(), py::arg("n_lists"),
             py::arg("centers").noconvert(), py::arg("spreads").noconvert(), py::arg("probes"),
             py::arg("seed"), py::arg("progress"), py::arg("threads"))
        .def_static("from_parts", &index_from<IVFIndex>, py::arg("parts"), py::arg("metric"))
        .def_property_readonly("probes", &IVFIndex::probes)
        .def("stats", &stats_of)
        .def("tune", &tune, py::arg("queries").noconvert(), py::arg("recall"), py::arg("k"),
             py::arg("threads"))
        .def("retrain", &retrain, py::arg("progress"), py::arg("threads"));
    m.attr("EXACT_PROBES") = kExactProbes;
    m.def(
        "check_ids",
        [](const Array<std::int64_t>& ids) {
            const NoGil nogil;
            check_ids(ids.data(), static_cast<std::size_t>(ids.size()));
        },
        py::arg("ids").noconvert());
    m.def("topk", &topk_lists, py::arg("queries").noconvert(), py::arg("items").noconvert(),
          py::arg("metric"), py::arg("k"), py::arg("threads"));
}

}  // namespace vecrecall::python
