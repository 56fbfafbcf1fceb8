#include "vecrecall/ivf_index.hpp"

#include <bit>
#include <stdexcept>

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

std::shared_ptr<const search::Items> items_of(const ItemsView& items, Metric metric,
                                              const IVFOptions& options) {
    const FpEnvScope env;
    if (items.ids) check_ids(items.ids, items.rows.rows);
    const search::Source source{.rows = {items.rows}, .ids = items.ids, .bias = items.bias};
    return search::items_in_lists(source, metric, {.asked = options.n_lists, .seed = options.seed},
                                  {.codes = options.codes, .threads = options.threads},
                                  options.progress);
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
