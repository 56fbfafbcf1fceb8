#include "core/id_map.hpp"

#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include "core/hashing.hpp"

namespace vecrecall {
namespace {

std::vector<std::uint32_t> table_of(const std::int64_t* ids, std::size_t n) {
    const HashShape shape(n);
    std::vector<std::uint32_t> slots(shape.slots, 0);
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        std::size_t s = hash_id(ids[i]) >> shape.shift;
        for (; slots[s] != 0; s = (s + 1) & (shape.slots - 1)) {
            if (ids[slots[s] - 1] == ids[i]) {
                throw std::invalid_argument("ids: duplicate id " + std::to_string(ids[i]) +
                                            ", in rows " + std::to_string(slots[s] - 1) + " and " +
                                            std::to_string(i));
            }
        }
        slots[s] = static_cast<std::uint32_t>(i + 1);
    }
    return slots;
}

}  // namespace

void check_ids(const std::int64_t* ids, std::size_t n) {
    bool ascending = true;
    for (std::size_t i = 0; i < n; ++i) {
        if (ids[i] < 0) {
            throw std::invalid_argument("ids: expected ids >= 0, got " + std::to_string(ids[i]) +
                                        " at row " + std::to_string(i));
        }
        ascending = ascending && (i == 0 || ids[i - 1] < ids[i]);
    }
    if (!ascending) table_of(ids, n);  // finds repeats
}

IdMap::IdMap(const std::int64_t* ids, std::size_t n, bool copy)
    : n_(n), ids_(n > 0 ? ids : nullptr) {
    if (ids_ == nullptr || !copy) return;
    own_ids_.assign(ids, ids + n);
    ids_ = own_ids_.data();
}

struct IdMap::Table {
    std::vector<std::uint32_t> slots;  // open addressing over row + 1, 0 for a free one
    std::exception_ptr repeats;        // what a look-up throws where borrowed ids repeat

    Table(const std::int64_t* ids, std::size_t n) {
        try {
            slots = table_of(ids, n);
        } catch (const std::invalid_argument&) {
            repeats = std::current_exception();
        }
    }
};

IdMap::~IdMap() { delete table_.load(); }

std::size_t IdMap::bytes() const {
    const Table* known = table_.load(std::memory_order_acquire);
    const std::size_t table = known == nullptr ? 0 : known->slots.size() * sizeof(std::uint32_t);
    return table + (ids_ == nullptr ? 0 : n_ * sizeof(std::int64_t));
}

// By one thread for all. Only what is called while that asks whether to stop does not wait for it.
const IdMap::Table& IdMap::table() const {
    const Table* known = table_.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    canceling::Turn& turn = making_.get();
    std::unique_lock lock(turn, std::defer_lock);
    if (!turn.is_mine()) lock.lock();
    known = table_.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    auto made = std::make_unique<const Table>(ids_, n_);
    return table_.compare_exchange_strong(known, made.get()) ? *made.release() : *known;
}

std::int64_t IdMap::row(std::int64_t id) const {
    if (id < 0) return -1;
    if (ids_ == nullptr) return id < static_cast<std::int64_t>(n_) ? id : -1;
    const Table& known = table();
    if (known.repeats) std::rethrow_exception(known.repeats);
    const HashShape shape(n_);
    for (std::size_t s = hash_id(id) >> shape.shift; known.slots[s] != 0;
         s = (s + 1) & (shape.slots - 1)) {
        const std::uint32_t row = known.slots[s] - 1;
        if (ids_[row] == id) return row;
    }
    return -1;
}

// First all slots, then the ids of the rows that those name: no look-up waits for another.
void IdMap::prefetch(const std::int64_t* ids, std::size_t n) const {
    if (ids_ == nullptr) return;
    const Table& known = table();
    if (known.repeats) return;
    const HashShape shape(n_);
    const auto slot = [&](std::size_t i) {
        return known.slots.data() + (hash_id(ids[i]) >> shape.shift);
    };
    for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(slot(i));
    for (std::size_t i = 0; i < n; ++i) {
        if (*slot(i) != 0) __builtin_prefetch(ids_ + (*slot(i) - 1));
    }
}

}  // namespace vecrecall
