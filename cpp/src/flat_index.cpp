#include "vecrecall/flat_index.hpp"

#include <algorithm>

#include "fp_env.hpp"
#include "kernels/registry.hpp"
#include "scan/items.hpp"
#include "scan/search.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

// Making codes costs about a float32 scan for so many queries.
constexpr std::size_t kQueriesWorthCodes = 64;

}  // namespace

struct FlatIndex::Impl {
    scan::Items items;
};

FlatIndex::FlatIndex(const ItemsView& items, Metric metric, const BuildOptions& options)
    : impl_([&] {
          const FpEnvScope env;
          return new Impl{.items = scan::Items(items, metric, options)};
      }()) {}
FlatIndex::~FlatIndex() = default;
FlatIndex::FlatIndex(FlatIndex&&) noexcept = default;
FlatIndex& FlatIndex::operator=(FlatIndex&&) noexcept = default;

std::size_t FlatIndex::size() const { return impl_->items.size(); }
std::size_t FlatIndex::dim() const { return impl_->items.dim(); }
Metric FlatIndex::metric() const { return impl_->items.metric(); }

SearchStats FlatIndex::search(const MatrixView& queries, const SearchOptions& options,
                              const ListsOut& out) const {
    const FpEnvScope env;
    return scan::search(impl_->items, queries, options, out);
}

void FlatIndex::score(const MatrixView& queries, const RaggedView<std::int64_t>& candidates,
                      float* scores, int threads) const {
    const kernels::KernelTable& table = kernels::active();
    const scan::Items& items = impl_->items;
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
            const std::int64_t row = items.ids().row(candidates.begin(q)[i]);
            if (row < 0) continue;
            rows.push_back(static_cast<std::uint32_t>(row));
            places.push_back(i);
        }
        std::vector<float> known(rows.size());
        score_rows(table, items.scored(), wide.data(), length, rows.data(), rows.size(),
                   known.data());
        for (std::size_t i = 0; i < known.size(); ++i) out[places[i]] = known[i];
    });
}

void FlatIndex::ids(std::int64_t* out) const {
    const scan::Items& items = impl_->items;
    for (std::size_t i = 0; i < size(); ++i) out[items.given_row(i)] = items.ids().id(i);
}

void FlatIndex::find(const std::int64_t* ids, std::size_t n, std::int64_t* rows) const {
    for (std::size_t i = 0; i < n; ++i) rows[i] = impl_->items.ids().row(ids[i]);
}

const float* FlatIndex::row(std::size_t i) const { return impl_->items.scored().rows.row(i); }

std::vector<std::uint64_t> FlatIndex::rows_of(const std::int64_t* ids, std::size_t n,
                                              bool complement) const {
    const std::size_t words = impl_->items.blocks() * scan::kBlockItems / kernels::kWordItems;
    std::vector<std::uint64_t> bits(words, 0);
    for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t row = impl_->items.ids().row(ids[i]);
        if (row >= 0) bits[static_cast<std::size_t>(row) / 64] |= std::uint64_t{1} << (row % 64);
    }
    const std::uint64_t* live = impl_->items.live();
    for (std::size_t w = 0; w < words; ++w) bits[w] = (complement ? ~bits[w] : bits[w]) & live[w];
    return bits;
}

SearchStats topk(const MatrixView& queries, const ItemsView& items, Metric metric, std::size_t k,
                 const ListsOut& out, int threads) {
    const FpEnvScope env;
    const bool with_codes = queries.rows >= kQueriesWorthCodes;
    const BuildOptions options{.copy = false, .codes = with_codes, .threads = threads};
    const scan::Items borrowed(items, metric, options);
    return scan::search(borrowed, queries, {.k = k, .threads = threads}, out);
}

}  // namespace vecrecall
