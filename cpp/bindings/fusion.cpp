#include "vecrecall/merge.hpp"

#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "register.hpp"

namespace vecrecall::python {
namespace {

using Ids = Array<std::int64_t>;
using ListArrays = std::tuple<Ids, Array<float>, Array<std::int32_t>>;
// name, ids, scores, and either the offsets of ragged rows or, where not all places are in use, the
// counts of padded ones.
using ChannelArrays = std::tuple<std::string, Ids, Array<float>, std::optional<Ids>,
                                 std::optional<Array<std::int32_t>>>;

void check_counts(const Array<std::int32_t>& counts, const Ids& ids) {
    if (counts.size() != ids.shape(0)) throw std::invalid_argument("expected one count per row");
    for (py::ssize_t r = 0; r < counts.size(); ++r) {
        if (counts.at(r) < 0 || counts.at(r) > ids.shape(1)) {
            throw std::invalid_argument("expected counts within the lists' width");
        }
    }
}

void check_padded(const Ids& ids, const Array<float>& scores) {
    if (ids.ndim() != 2 || scores.ndim() != 2 || ids.shape(0) != scores.shape(0) ||
        ids.shape(1) != scores.shape(1)) {
        throw std::invalid_argument("expected ids and scores of one shape");
    }
}

// Whether these are arrays as a search returns them, with counts that fit: one call, where NumPy
// takes ten times as long to find out.
bool are_lists(py::handle ids, py::handle scores, py::handle counts) {
    if (!is_ready<std::int64_t>(ids, 2) || !is_ready<float>(scores, 2) ||
        !is_ready<std::int32_t>(counts, 1)) {
        return false;
    }
    const auto i = py::reinterpret_borrow<Ids>(ids);
    const auto s = py::reinterpret_borrow<Array<float>>(scores);
    const auto c = py::reinterpret_borrow<Array<std::int32_t>>(counts);
    if (s.shape(0) != i.shape(0) || s.shape(1) != i.shape(1) || c.size() != i.shape(0)) {
        return false;
    }
    const std::int32_t* const first = c.data();
    return std::all_of(first, first + c.size(),
                       [&](std::int32_t n) { return n >= 0 && n <= i.shape(1); });
}

ListsView lists_view(const ListArrays& arrays) {
    const auto& [ids, scores, counts] = arrays;
    check_padded(ids, scores);
    check_counts(counts, ids);
    return {ids.data(), scores.data(), counts.data(), static_cast<std::size_t>(ids.shape(0)),
            static_cast<std::size_t>(ids.shape(1))};
}

Channel channel_view(const ChannelArrays& arrays) {
    const auto& [name, ids, scores, offsets, counts] = arrays;
    Channel channel{.name = name, .ids = ids.data(), .scores = scores.data()};
    if (offsets) {
        if (scores.size() != ids.size()) throw std::invalid_argument("expected one score per id");
        channel.rows = ragged(ids, *offsets).rows;
        channel.offsets = offsets->data();
        return channel;
    }
    check_padded(ids, scores);
    channel.rows = static_cast<std::size_t>(ids.shape(0));
    channel.width = static_cast<std::size_t>(ids.shape(1));
    if (counts) {
        check_counts(*counts, ids);
        channel.counts = counts->data();
    }
    return channel;
}

py::tuple shards(const std::vector<ListArrays>& results, std::size_t k, int threads) {
    std::vector<ListsView> views;
    views.reserve(results.size());
    for (const ListArrays& arrays : results) views.push_back(lists_view(arrays));
    for (const ListsView& view : views) {
        if (view.rows != views.front().rows) throw std::invalid_argument("expected equal rows");
    }
    Lists lists(views.empty() ? 0 : views.front().rows, k);
    const ListsOut out = lists.out();
    {
        const NoGil nogil;
        merge_shards(views, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts);
}

py::tuple groups(const ListArrays& result, const Ids& offsets, std::size_t k, bool sum,
                 int threads) {
    const ListsView view = lists_view(result);
    if (offsets.size() == 0 ||
        offsets.at(offsets.size() - 1) != static_cast<std::int64_t>(view.rows)) {
        throw std::invalid_argument("expected offsets that end at the number of rows");
    }
    const auto n = static_cast<std::size_t>(offsets.size()) - 1;
    Lists lists(n, k);
    Array<std::int32_t> n_rows({n, k});
    Array<std::int64_t> best_row({n, k});
    const GroupsOut out{lists.out(), n_rows.mutable_data(), best_row.mutable_data()};
    {
        const NoGil nogil;
        merge_groups(view, offsets.data(), sum ? Join::kSum : Join::kMax, out, threads);
    }
    return py::make_tuple(lists.ids, lists.scores, lists.counts, n_rows, best_row);
}

// The further outputs of a merge; without provenance the last two stay empty.
struct Details {
    Array<std::uint64_t> channels;
    Array<std::int32_t> unfilled;
    std::optional<Array<std::int32_t>> ranks;
    std::optional<Array<float>> scores;

    Details(std::size_t rows, std::size_t k, std::size_t n, bool provenance)
        : channels({rows, k}), unfilled({rows, n}) {
        if (!provenance) return;
        ranks.emplace(std::vector<std::size_t>{rows, k, n});
        scores.emplace(std::vector<std::size_t>{rows, k, n});
    }

    MergeOut out(const ListsOut& lists) {
        return {lists, channels.mutable_data(), unfilled.mutable_data(),
                ranks ? ranks->mutable_data() : nullptr, scores ? scores->mutable_data() : nullptr};
    }
};

// A warning, which is an error where the caller's filters make it one.
void warn_of_negative(const std::vector<Channel>& channels, std::uint64_t negative,
                      int stack_level) {
    std::string names;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        if ((negative >> c & 1) == 0) continue;
        names +=
            (names.empty() ? "channels['" : ", channels['") + std::string(channels[c].name) + "']";
    }
    const std::string text = names +
                             ": negative scores under absent='zero', so that items that a "
                             "list does not hold go before those that it does";
    const py::object kind = py::module_::import("vecrecall.policies").attr("AbsentWarning");
    if (PyErr_WarnEx(kind.ptr(), text.c_str(), stack_level) != 0) throw py::error_already_set();
}

py::tuple merge_views(const std::vector<Channel>& channels, std::size_t k, const Policy& policy,
                      const MergeFilters& filters, bool provenance, int threads, int stack_level) {
    Lists lists(channels.empty() ? 0 : channels.front().rows, k);
    Details details(lists.out().rows, k, channels.size(), provenance);
    std::atomic<std::uint64_t> negative{0};
    MergeOut out = details.out(lists.out());
    out.negative = &negative;
    {
        const NoGil nogil;
        merge(channels, policy, filters, out, threads);
    }
    if (negative != 0) warn_of_negative(channels, negative, stack_level);
    return py::make_tuple(lists.ids, lists.scores, lists.counts, details.channels, details.ranks,
                          details.scores, details.unfilled);
}

py::tuple merged(const std::vector<ChannelArrays>& arrays, std::size_t k, const Policy& policy,
                 const std::optional<std::pair<Ids, Ids>>& exclude,
                 const std::vector<const Caps*>& caps, bool provenance, int threads) {
    std::vector<Channel> channels;
    channels.reserve(arrays.size());
    for (const ChannelArrays& channel : arrays) channels.push_back(channel_view(channel));
    MergeFilters filters{.caps = caps};
    if (exclude) filters.exclude = ragged(exclude->first, exclude->second);
    constexpr int kCallerOfMerge = 3;
    return merge_views(channels, k, policy, filters, provenance, threads, kCallerOfMerge);
}

// Results found by channels. Their arrays stay alive even if a caller assigns others to a result.
class ReadyChannels {
  public:
    explicit ReadyChannels(py::type kind) : kind_(std::move(kind)) {}

    // Takes a channel's lists as they are, if they are of this type and need no conversion.
    bool append(py::handle name, py::handle found, std::size_t rows) {
        if (!py::type::handle_of(found).is(kind_)) return false;
        const py::handle ids = keep(found, ids_);
        const py::handle scores = keep(found, scores_);
        const py::handle counts = keep(found, counts_);
        if (!are_lists(ids, scores, counts)) return false;
        py::ssize_t length = 0;
        const char* const text = PyUnicode_AsUTF8AndSize(name.ptr(), &length);
        if (text == nullptr) throw py::error_already_set();
        const auto i = py::reinterpret_borrow<Ids>(ids);
        if (static_cast<std::size_t>(i.shape(0)) != rows) return false;
        channels_.push_back({
            .name = {text, static_cast<std::size_t>(length)},
            .ids = i.data(),
            .scores = py::reinterpret_borrow<Array<float>>(scores).data(),
            .rows = rows,
            .width = static_cast<std::size_t>(i.shape(1)),
            .counts = py::reinterpret_borrow<Array<std::int32_t>>(counts).data(),
        });
        return true;
    }

    const std::vector<Channel>& channels() const { return channels_; }

  private:
    // Python looks attributes up several times faster by names that it has interned.
    static py::object interned(const char* name) {
        return py::reinterpret_steal<py::object>(PyUnicode_InternFromString(name));
    }

    py::handle keep(py::handle found, const py::object& field) {
        return arrays_.emplace_back(py::getattr(found, field, py::none()));
    }

    py::type kind_;
    py::object ids_ = interned("ids");
    py::object scores_ = interned("scores");
    py::object counts_ = interned("counts");
    std::vector<py::object> arrays_;
    std::vector<Channel> channels_;
};

// Looks at all that channels have found in one call, after searches that have left the caches cold.
// None where there is anything to convert, or to refuse: that is left to the caller.
std::optional<py::tuple> merge_found(const py::dict& found, const py::type& kind, std::size_t rows,
                                     std::size_t k, const Policy& policy,
                                     const std::optional<std::pair<py::object, py::object>>& seen,
                                     const std::vector<const Caps*>& caps) {
    ReadyChannels ready(kind);
    for (const auto& [name, lists] : found) {
        if (!ready.append(name, lists, rows)) return {};
    }
    MergeFilters filters{.caps = caps};
    if (seen) {
        if (!are_id_rows(seen->first, seen->second)) return {};
        filters.exclude = ragged(py::reinterpret_borrow<Ids>(seen->first),
                                 py::reinterpret_borrow<Ids>(seen->second));
        if (filters.exclude.rows != rows) return {};
    }
    try {
        constexpr int kCallerOfRecall = 3;
        return merge_views(ready.channels(), k, policy, filters, true, 0, kCallerOfRecall);
    } catch (const std::invalid_argument&) {
        return {};
    }
}

void register_policies(py::module_& m) {
    using Weights = std::vector<double>;
    using Counts = std::vector<std::int64_t>;
    py::native_enum<Normalize>(m, "Normalize", "enum.Enum")
        .value("none", Normalize::kNone)
        .value("minmax", Normalize::kMinMax)
        .value("zscore", Normalize::kZScore)
        .value("max", Normalize::kMax)
        .value("l2", Normalize::kL2)
        .finalize();
    py::native_enum<Absent>(m, "Absent", "enum.Enum")
        .value("automatic", Absent::kAutomatic)
        .value("zero", Absent::kZero)
        .value("min", Absent::kMin)
        .finalize();
    py::class_<Rrf>(m, "RRF").def(
        py::init([](Weights w, double k) { return Rrf{std::move(w), k}; }), py::arg("weights"),
        py::arg("k"));
    py::class_<WeightedSum>(m, "WeightedSum")
        .def(py::init([](Weights w, Normalize how, Absent absent) {
                 return WeightedSum{std::move(w), how, absent};
             }),
             py::arg("weights"), py::arg("normalize"), py::arg("absent"));
    py::class_<Maximum>(m, "Maximum")
        .def(py::init([](Weights w, Normalize how, Absent absent) {
                 return Maximum{std::move(w), how, absent};
             }),
             py::arg("weights"), py::arg("normalize"), py::arg("absent"));
    py::class_<Interleave>(m, "Interleave")
        .def(py::init([](Counts w, bool refill) { return Interleave{std::move(w), refill}; }),
             py::arg("weights"), py::arg("refill"));
    py::class_<Priority>(m, "Priority")
        .def(py::init([](Counts q, bool cumulative, bool backfill) {
                 return Priority{std::move(q), cumulative, backfill};
             }),
             py::arg("quotas"), py::arg("cumulative"), py::arg("backfill"));
    py::class_<Quota>(m, "Quota")
        .def(py::init([](std::vector<std::uint64_t> shares, Counts minimum, Counts maximum) {
                 return Quota{std::move(shares), std::move(minimum), std::move(maximum)};
             }),
             py::arg("shares"), py::arg("minimum"), py::arg("maximum"));
}

void register_caps(py::module_& m) {
    const auto make = [](const Ids& ids, const Ids& groups, std::int64_t limit) {
        if (ids.size() != groups.size()) throw std::invalid_argument("expected one group per id");
        const std::int64_t* const id = ids.data();
        const std::int64_t* const group = groups.data();
        const auto n = static_cast<std::size_t>(ids.size());
        const NoGil nogil;
        return std::make_unique<Caps>(id, group, n, limit);
    };
    const auto members = [](const Caps& caps) {
        Ids ids(static_cast<py::ssize_t>(caps.size()));
        Ids groups(ids.size());
        std::int64_t* const id = ids.mutable_data();
        std::int64_t* const group = groups.mutable_data();
        {
            const NoGil nogil;
            caps.members(id, group);
        }
        return py::make_tuple(ids, groups);
    };
    py::class_<Caps>(m, "Caps")
        .def(py::init(make), py::arg("ids").noconvert(), py::arg("groups").noconvert(),
             py::arg("limit"))
        .def("members", members);
}

}  // namespace

void register_merge(py::module_& m) {
    register_policies(m);
    register_caps(m);
    m.attr("MAX_CHANNELS") = kMaxChannels;
    m.def("are_lists", &are_lists, py::arg("ids"), py::arg("scores"), py::arg("counts"));
    m.def("merge_shards", &shards, py::arg("results"), py::arg("k"), py::arg("threads"));
    m.def("merge_groups", &groups, py::arg("result"), py::arg("offsets").noconvert(), py::arg("k"),
          py::arg("sum"), py::arg("threads"));
    m.def("merge_found", &merge_found, py::arg("found"), py::arg("kind"), py::arg("rows"),
          py::arg("k"), py::arg("policy"), py::arg("seen"), py::arg("caps"));
    m.def("merge", &merged, py::arg("channels"), py::arg("k"), py::arg("policy"),
          py::arg("exclude"), py::arg("caps"), py::arg("provenance"), py::arg("threads"));
}

}  // namespace vecrecall::python
