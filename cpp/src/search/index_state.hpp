// The items of an index over time: what its versions share.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>

#include "platform/at_fork.hpp"
#include "platform/canceling.hpp"
#include "platform/fp_env.hpp"
#include "search/update.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall {

struct FlatIndex::Impl {
    // Held for the time of an update. One that a fork interrupts is not in the child.
    at_fork::PerProcess<canceling::Turn> updating;
    std::shared_ptr<const search::Items> items;
    // No id of the items is above it; negative: not known. The writer's alone.
    std::int64_t id_bound = -1;

    // Held for the time of copying or swapping a pointer.
    std::mutex& swapping() const { return at_fork::lock_of(this); }

    std::shared_ptr<const search::Items> now() const {
        const std::lock_guard lock(swapping());
        return items;
    }

    template <class Change>
    void update(Change change) {
        const std::lock_guard one_at_a_time(updating.get());
        const FpEnvScope env;
        std::shared_ptr<const search::Items> next = change(now());
        const std::lock_guard lock(swapping());
        items.swap(next);  // which is let go of after the lock
    }

    // Within an update.
    std::shared_ptr<const search::Items> with(const std::shared_ptr<const search::Items>& before,
                                              const ItemsView& more, search::OnDuplicate known,
                                              int threads) {
        std::shared_ptr<const search::Items> next =
            search::with_items(before, more, known, threads);
        if (id_bound >= 0 && more.rows.rows > 0) {
            id_bound = std::max(id_bound, *std::max_element(more.ids, more.ids + more.rows.rows));
        }
        return next;
    }

    // Within an update. All items are looked at only at first, and when the largest was removed.
    std::int64_t largest_id(const search::Items& now) {
        if (now.find(id_bound) < 0) id_bound = now.largest_id();
        return id_bound;
    }
};

}  // namespace vecrecall
