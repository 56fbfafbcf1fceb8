// From the items of an index to those after an update. Present segments are shared, not copied.
#pragma once

#include <cstdint>
#include <memory>

#include "search/items.hpp"
#include "search/list_training.hpp"

namespace vecrecall::search {

enum class OnDuplicate { kError, kOverwrite };
enum class OnMissing { kError, kIgnore };

// Throws std::invalid_argument for negative and repeated ids, and for known ones that are refused.
std::shared_ptr<const Items> with_items(const std::shared_ptr<const Items>& items,
                                        const ItemsView& more, OnDuplicate known, int threads);

// Throws std::out_of_range for unknown ids that are refused.
std::shared_ptr<const Items> without_ids(const std::shared_ptr<const Items>& items,
                                         const std::int64_t* ids, std::size_t n, OnMissing unknown,
                                         int threads);

// Rebuilt from the items that are left.
std::shared_ptr<const Items> compacted(const std::shared_ptr<const Items>& items, int threads);

// The same in lists that are made again, also where nothing was updated. The items are in lists.
std::shared_ptr<const Items> retrained(const std::shared_ptr<const Items>& items, int threads,
                                       const BuildProgress& progress);

// Indexed in lists of given centers, searched with so many probes; 0: tuned as a first default.
std::shared_ptr<const Items> items_in_given_lists(const Source& source, Metric metric,
                                                  const MatrixView& centers,
                                                  const ArrayView<float>& spreads,
                                                  std::size_t probes, const BuildOptions& build,
                                                  const BuildProgress& progress);

// Indexed in lists, tuned as a first default.
std::shared_ptr<const Items> items_in_lists(const Source& source, Metric metric,
                                            const ListOptions& options, const BuildOptions& build,
                                            const BuildProgress& progress);

}  // namespace vecrecall::search
