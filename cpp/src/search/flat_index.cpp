#include "vecrecall/flat_index.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>

#include "kernels/registry.hpp"
#include "platform/at_fork.hpp"
#include "platform/canceling.hpp"
#include "platform/fp_env.hpp"
#include "search/above.hpp"
#include "search/index_arrays.hpp"
#include "search/index_state.hpp"
#include "search/probing.hpp"
#include "search/search.hpp"
#include "search/update.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// Making codes costs about a float32 scan for so many queries.
constexpr std::size_t kQueriesWorthCodes = 64;

search::Items items_of(const ItemsView& items, Metric metric, const BuildOptions& options) {
    const search::Source source{.rows = {items.rows}, .ids = items.ids, .bias = items.bias};
    return search::Items(search::make_base(source, metric, options), options.codes);
}

const char* name_of(RowType type) {
    switch (type) {
        case RowType::kFloat16: return "float16";
        case RowType::kBFloat16: return "bfloat16";
        case RowType::kFloat32: break;
    }
    return "float32";
}

void check_rows(const RowsView& rows, const FlatIndex& index) {
    if (rows.dim != index.dim()) {
        throw std::invalid_argument("vectors: expected width " + std::to_string(index.dim()) +
                                    ", got " + std::to_string(rows.dim));
    }
    if (rows.type != index.row_type()) {
        throw std::invalid_argument(std::string("vectors: expected rows of ") +
                                    name_of(index.row_type()) + ", got " + name_of(rows.type));
    }
}

void check_items(const ItemsView& items, const FlatIndex& index) {
    if (items.ids == nullptr) throw std::invalid_argument("ids: expected one id per row, got none");
    check_rows(items.rows, index);
}

// So many ids, from the one behind `largest` on.
std::vector<std::int64_t> ids_after(std::int64_t largest, std::size_t n) {
    const auto room = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) -
                      static_cast<std::uint64_t>(largest);  // where it is -1: one more
    if (n > room) {
        throw std::invalid_argument("ids: no room for " + std::to_string(n) +
                                    (n == 1 ? " id" : " ids") + " after the largest, " +
                                    std::to_string(largest));
    }
    std::vector<std::int64_t> ids(n);
    if (n > 0) std::iota(ids.begin(), ids.end(), largest + 1);
    return ids;
}

}  // namespace

std::size_t Snapshot::size() const { return items_->size(); }
std::size_t Snapshot::dim() const { return items_->dim(); }
RowType Snapshot::row_type() const { return items_->row_type(); }
Metric Snapshot::metric() const { return items_->metric(); }
bool Snapshot::has_bias() const { return items_->has_bias(); }

std::size_t Snapshot::bytes() const { return items_->bytes(); }
std::uint64_t Snapshot::version() const { return items_->version(); }

SearchStats Snapshot::search(const MatrixView& queries, const SearchOptions& options,
                             const ListsOut& out) const {
    const FpEnvScope env;
    return search::search(*items_, queries, options, out);
}

RaggedLists Snapshot::search_above(const MatrixView& queries, const AboveOptions& options) const {
    const FpEnvScope env;
    return search::search_above(*items_, queries, options);
}

void Snapshot::score(const MatrixView& queries, const RaggedView<std::int64_t>& candidates,
                     float* scores, int threads) const {
    const kernels::KernelTable& table = kernels::active();
    const search::Items& items = *items_;
    parallel_for(queries.rows, threads, [&](std::size_t q) {
        const std::size_t n = candidates.length(q);
        float* out = scores + candidates.offsets[q];
        std::fill_n(out, n, -std::numeric_limits<float>::infinity());
        std::vector<double> wide(exact_width(items.dim()));
        widen_query(queries.row(q), items.dim(), wide.data());
        const double length = norm(table, wide.data(), queries.row(q), items.dim());
        if (items.metric() == Metric::kCosine && length == 0) return;
        std::vector<std::uint32_t> rows;
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < n; ++i) {
            canceling::check_each(i);
            const std::int64_t row = items.find(candidates.begin(q)[i]);
            if (row < 0) continue;
            rows.push_back(static_cast<std::uint32_t>(row));
            places.push_back(i);
        }
        std::vector<float> known(rows.size());
        items.score(table, wide.data(), length, rows.data(), rows.size(), known.data());
        for (std::size_t i = 0; i < known.size(); ++i) out[places[i]] = known[i];
    });
}

void Snapshot::ids(std::int64_t* out) const {
    const std::vector<std::uint32_t> rows = items_->rows_by_insertion_rank();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        canceling::check_each(i);
        out[i] = items_->id(rows[i]);
    }
}

MatrixView Snapshot::list_centers() const {
    const search::Lists* lists = items_->lists();
    return lists ? lists->centers() : MatrixView{nullptr, 0, dim()};
}

ArrayView<float> Snapshot::list_spreads() const {
    const search::Lists* lists = items_->lists();
    if (!lists) return {};
    return {lists->spreads().data(), lists->spreads().size()};
}

void Snapshot::rows_looked_at(const MatrixView& queries, std::size_t probes, std::int64_t* out,
                              int threads) const {
    const FpEnvScope env;
    search::rows_looked_at(*items_, queries, probes, out, threads);
}

void Snapshot::lists(std::int64_t* out) const {
    const std::vector<std::uint32_t> rows = items_->rows_by_insertion_rank();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        canceling::check_each(i);
        out[i] = items_->list_of(rows[i]);
    }
}

void Snapshot::find(const std::int64_t* ids, std::size_t n, std::int64_t* rows) const {
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        rows[i] = items_->find(ids[i]);
    }
}

void Snapshot::row(std::size_t i, float* out) const {
    kernels::active().widen(items_->row(i), dim(), out);
}

Snapshot Snapshot::compacted(int threads) const {
    const FpEnvScope env;
    return Snapshot(search::compacted(items_, threads));
}

IndexArrays Snapshot::parts() const { return search::to_arrays(*items_); }

FlatIndex::FlatIndex(std::shared_ptr<const search::Items> items) : impl_(new Impl) {
    impl_->items = std::move(items);
}
FlatIndex::FlatIndex(const ItemsView& items, Metric metric, const BuildOptions& options)
    : impl_(new Impl) {
    const FpEnvScope env;
    if (items.ids) check_ids(items.ids, items.rows.rows);
    impl_->items = std::make_shared<const search::Items>(items_of(items, metric, options));
}
FlatIndex::FlatIndex(const IndexArrays& parts, std::shared_ptr<const void> owner)
    : impl_(new Impl) {
    const FpEnvScope env;
    auto items =
        std::make_shared<const search::Items>(search::from_arrays(parts, std::move(owner)));
    if (items->lists()) {
        throw std::invalid_argument(
            "list_sizes: expected none in a FlatIndex, got those of an IVFIndex");
    }
    impl_->items = std::move(items);
}
FlatIndex::~FlatIndex() = default;
FlatIndex::FlatIndex(FlatIndex&&) noexcept = default;
FlatIndex& FlatIndex::operator=(FlatIndex&&) noexcept = default;

Snapshot FlatIndex::snapshot() const { return Snapshot(impl_->now()); }

void FlatIndex::add(const ItemsView& items, int threads) {
    check_items(items, *this);
    impl_->update([&](const auto& now) {
        return impl_->with(now, items, search::OnDuplicate::kError, threads);
    });
}

std::int64_t FlatIndex::append(const ItemsView& items, std::int64_t after, int threads) {
    check_rows(items.rows, *this);
    std::int64_t largest = after;
    impl_->update([&](const auto& now) {
        largest = std::max(after, impl_->largest_id(*now));
        const std::vector<std::int64_t> ids = ids_after(largest, items.rows.rows);
        ItemsView numbered = items;
        numbered.ids = ids.data();
        return impl_->with(now, numbered, search::OnDuplicate::kError, threads);
    });
    return items.rows.rows > 0 ? largest + 1 : 0;
}

void FlatIndex::update(const ItemsView& items, int threads) {
    check_items(items, *this);
    impl_->update([&](const auto& now) {
        return impl_->with(now, items, search::OnDuplicate::kOverwrite, threads);
    });
}

void FlatIndex::remove(const std::int64_t* ids, std::size_t n, bool ignore_unknown, int threads) {
    const auto unknown = ignore_unknown ? search::OnMissing::kIgnore : search::OnMissing::kError;
    impl_->update(
        [&](const auto& now) { return search::without_ids(now, ids, n, unknown, threads); });
}

void FlatIndex::compact(int threads) {
    impl_->update([&](const auto& now) { return search::compacted(now, threads); });
}

SearchStats topk(const MatrixView& queries, const ItemsView& items, Metric metric, std::size_t k,
                 const ListsOut& out, int threads) {
    const FpEnvScope env;
    const bool with_codes = queries.rows >= kQueriesWorthCodes;
    const BuildOptions options{.copy = false, .codes = with_codes, .threads = threads};
    const search::Items borrowed = items_of(items, metric, options);
    return search::search(borrowed, queries, {.k = k, .threads = threads}, out);
}

}  // namespace vecrecall
