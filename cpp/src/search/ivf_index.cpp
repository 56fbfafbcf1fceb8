#include "vecrecall/ivf_index.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "search/index_arrays.hpp"
#include "search/index_state.hpp"
#include "search/list_tuning.hpp"
#include "vecrecall/index_arrays.hpp"

namespace vecrecall {
namespace {

std::shared_ptr<const search::Items> items_of(const IndexArrays& parts,
                                              std::shared_ptr<const void> owner) {
    const FpEnvScope env;
    auto items =
        std::make_shared<const search::Items>(search::from_arrays(parts, std::move(owner)));
    if (!items->lists()) {
        throw std::invalid_argument("list_sizes: expected those of an IVFIndex, got a FlatIndex");
    }
    return items;
}

void check_spreads(const IVFOptions& options, Metric metric) {
    const ArrayView<float>& spreads = options.spreads;
    if (spreads.size != 0 && spreads.size != options.centers.rows) {
        throw std::invalid_argument("spreads: expected " + std::to_string(options.centers.rows) +
                                    " values, one per list, got " + std::to_string(spreads.size));
    }
    for (std::size_t i = 0; i < spreads.size; ++i) {
        const float spread = spreads.data[i];
        if (std::isfinite(spread) && spread >= 0 && (spread == 0 || metric != Metric::kL2))
            continue;
        throw std::invalid_argument(
            std::string("spreads: expected ") +
            (metric == Metric::kL2 ? "zeros under l2" : "finite values >= 0") + ", got " +
            std::to_string(spread) + " at place " + std::to_string(i));
    }
}

std::shared_ptr<const search::Items> items_of(const ItemsView& items, Metric metric,
                                              const IVFOptions& options) {
    const FpEnvScope env;
    if (items.ids) check_ids(items.ids, items.rows.rows);
    const search::Source source{.rows = {items.rows}, .ids = items.ids, .bias = items.bias};
    check_spreads(options, metric);
    if (options.centers.rows > 0) {
        if (options.centers.dim != items.rows.dim) {
            throw std::invalid_argument("centers: expected " + std::to_string(items.rows.dim) +
                                        " columns, got " + std::to_string(options.centers.dim));
        }
        return search::items_in_given_lists(
            source, metric, options.centers, options.spreads, options.probes,
            {.codes = options.codes, .threads = options.threads}, options.progress);
    }
    auto trained = search::items_in_lists(
        source, metric, {.asked = options.n_lists, .seed = options.seed},
        {.codes = options.codes, .threads = options.threads}, options.progress);
    return options.probes == 0 ? trained : trained->with_probes(options.probes);
}

}  // namespace

IVFIndex::IVFIndex(const IndexArrays& parts, std::shared_ptr<const void> owner)
    : FlatIndex(items_of(parts, std::move(owner))) {}

IVFIndex::IVFIndex(const ItemsView& items, Metric metric, const IVFOptions& options)
    : FlatIndex(items_of(items, metric, options)) {}

IVFStats IVFIndex::stats() const {
    const std::shared_ptr<const search::Items> items = impl_->now();
    const search::Bitmap& live = items->live();
    const std::size_t listed_words = items->base().layout().slots() / 64;
    std::size_t loose = 0;
    for (std::size_t w = listed_words; w < live.size(); ++w) {
        loose += static_cast<std::size_t>(std::popcount(live[w]));
    }
    return {.list_sizes = items->lists()->sizes(), .not_in_lists = loose, .n_items = items->size()};
}

std::size_t IVFIndex::probes() const { return impl_->now()->probes(); }

std::size_t IVFIndex::tune(const MatrixView& queries, double recall, std::size_t k, int threads) {
    std::size_t probes = 0;
    impl_->update([&](const std::shared_ptr<const search::Items>& now) {
        probes = search::probes_reaching(*now, queries, {}, recall, k, threads);
        return now->with_probes(probes);
    });
    return probes;
}

void IVFIndex::retrain(int threads, const std::function<void(std::size_t, std::size_t)>& progress) {
    impl_->update([&](const std::shared_ptr<const search::Items>& now) {
        return search::retrained(now, threads, progress);
    });
}

}  // namespace vecrecall
