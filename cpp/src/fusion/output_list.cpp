#include "fusion/output_list.hpp"

#include <algorithm>

#include "platform/canceling.hpp"

namespace vecrecall::fusion {

CapCounts::CapCounts(const std::vector<const Caps*>& caps) {
    for (const Caps* cap : caps) {
        counts_.push_back({cap, std::vector<std::int64_t>(cap->n_groups()), {}});
    }
}

void CapCounts::clear() {
    for (Count& count : counts_) {
        for (const std::int64_t group : count.touched) {
            count.of_group[static_cast<std::size_t>(group)] = 0;
        }
        count.touched.clear();
    }
}

bool CapCounts::allow(std::int64_t id) const {
    return std::all_of(counts_.begin(), counts_.end(), [&](const Count& count) {
        const std::int64_t group = count.caps->group(id);
        return group < 0 || count.of_group[static_cast<std::size_t>(group)] < count.caps->limit();
    });
}

void CapCounts::count(std::int64_t id) {
    for (Count& count : counts_) {
        const std::int64_t group = count.caps->group(id);
        if (group < 0) continue;
        if (count.of_group[static_cast<std::size_t>(group)]++ == 0) count.touched.push_back(group);
    }
}

void OutputList::start(const Row& items, std::size_t row, std::size_t k) {
    items_ = &items;
    n_excluded_ = 0;
    size_ = 0;
    k_ = k;
    at_least(order_, items.n_entries());
    canceling::fill(at_least(places_, items.n_entries()), items.n_entries(), kFree);
    caps_.clear();
    if (filters_.exclude.rows == 0) return;
    for (const std::int64_t* id = filters_.exclude.begin(row); id != filters_.exclude.end(row);
         ++id) {
        const std::uint32_t entry = *id < 0 ? kNoEntry : items.find(*id);
        if (entry == kNoEntry || !is_free(entry)) continue;
        places_[entry] = kExcluded;
        ++n_excluded_;
    }
}

void OutputList::reorder(std::span<const std::uint32_t> order) {
    for (std::size_t i = 0; i < order.size(); ++i) {
        order_[i] = order[i];
        places_[order[i]] = static_cast<std::uint32_t>(i);
    }
}

}  // namespace vecrecall::fusion
