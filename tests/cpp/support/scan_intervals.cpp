// The scan without its selection: what it certifies about every item. A Python module for
// tests/search/test_bound.py, with a copy of the core of its own.
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/registry.hpp"
#include "register.hpp"
#include "search/block_scanner.hpp"
#include "vecrecall/isa.hpp"

namespace vecrecall::search {
namespace {

namespace py = pybind11;
using python::Array;

// For each query and item the smallest and the largest float32 score that the scan (of codes or of
// rows) allows it. The queries are scanned together; how many they are decides which kernel runs.
void intervals(const kernels::KernelTable& table, const ItemsView& view, Metric metric, bool codes,
               const MatrixView& rows, float* lowest, float* highest) {
    const Source source{.rows = {view.rows}, .ids = view.ids, .bias = view.bias};
    const BuildOptions build{.copy = false, .codes = codes, .threads = 1};
    const Items items(make_base(source, metric, build), codes);
    const QueryBatch queries(table, items, rows, {}, 1);
    const SearchOptions options{.k = 1, .threads = 1};
    const SearchContext context{.table = table,
                                .items = items,
                                .queries = queries,
                                .options = options,
                                .allow = nullptr,
                                .codes = codes,
                                .first_threshold = -std::numeric_limits<float>::infinity()};
    const std::size_t m = queries.size();
    const std::unique_ptr<BlockScanner> block_scanner =
        codes ? make_int8_scanner(context, 0, m) : make_float32_scanner(context, 0, m, kBlockItems);
    std::vector<kernels::Hit> hits(m * kBlockItems);
    Step step(m);
    for (std::size_t b = 0; b < items.blocks(); ++b) {
        const std::size_t first = items.block(b).first_row;
        block_scanner->enter_block(items.block(b));
        for (std::size_t q = 0; q < m; ++q) {
            step.thresholds[q] = context.first_threshold;  // everything is a hit
            step.live[q] = items.live().data() + first / kernels::kWordItems;
            step.hits[q] = {hits.data() + q * kBlockItems, 0};
        }
        block_scanner->scan(first, items.block(b).size, step);
        for (std::size_t q = 0; q < m; ++q) {
            const ScoreBound& bound = block_scanner->score_bound(q);
            const std::size_t to = queries[q].place * items.size();
            for (std::uint32_t i = 0; i < step.hits[q].count; ++i) {
                const kernels::Hit hit = step.hits[q].hits[i];
                const double value = bound.value(hit.raw);
                lowest[to + hit.row] = bound.lowest(value);
                highest[to + hit.row] = bound.highest(value);
            }
        }
    }
}

py::tuple scan_intervals(const std::string& isa, const Array<float>& vectors,
                         const std::optional<Array<double>>& bias, Metric metric, bool codes,
                         const Array<float>& queries) {
    const kernels::KernelTable& table = kernels::named(isa);
    const ItemsView items{.rows = python::matrix(vectors), .bias = bias ? bias->data() : nullptr};
    if (queries.shape(1) != vectors.shape(1) || (bias && bias->size() != vectors.shape(0))) {
        throw std::invalid_argument("expected queries and a bias that fit the vectors");
    }
    Array<float> lowest({queries.shape(0), vectors.shape(0)});
    Array<float> highest({queries.shape(0), vectors.shape(0)});
    intervals(table, items, metric, codes, python::matrix(queries), lowest.mutable_data(),
              highest.mutable_data());
    return py::make_tuple(lowest, highest);
}

}  // namespace
}  // namespace vecrecall::search

PYBIND11_MODULE(_scan_intervals, m) {
    m.def("set_isa", &vecrecall::set_isa, pybind11::arg("name"));
    m.def("scan_intervals", &vecrecall::search::scan_intervals, pybind11::arg("isa"),
          pybind11::arg("vectors").noconvert(), pybind11::arg("bias").noconvert(),
          pybind11::arg("metric"), pybind11::arg("codes"), pybind11::arg("queries").noconvert());
}
