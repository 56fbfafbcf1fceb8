#include "id_map.hpp"

#include <stdexcept>
#include <string>

#include "hashing.hpp"

namespace vecrecall {

IdMap::IdMap(const std::int64_t* ids, std::size_t n) : n_(n) {
    if (ids == nullptr) return;
    ids_.assign(ids, ids + n);
    bool ascending = true;
    for (std::size_t i = 0; i < n; ++i) {
        if (ids[i] < 0) {
            throw std::invalid_argument("ids: expected ids >= 0, got " + std::to_string(ids[i]) +
                                        " at row " + std::to_string(i));
        }
        ascending = ascending && (i == 0 || ids[i - 1] < ids[i]);
    }
    if (!ascending) std::call_once(built_, [this] { build_table(); });  // finds repeats
}

void IdMap::build_table() const {
    const HashShape shape(n_);
    slots_.assign(shape.slots, 0);
    for (std::size_t i = 0; i < n_; ++i) {
        std::size_t s = hash_id(ids_[i]) >> shape.shift;
        for (; slots_[s] != 0; s = (s + 1) & (shape.slots - 1)) {
            if (ids_[slots_[s] - 1] == ids_[i]) {
                throw std::invalid_argument(
                    "ids: expected unique ids, got " + std::to_string(ids_[i]) + " at rows " +
                    std::to_string(slots_[s] - 1) + " and " + std::to_string(i));
            }
        }
        slots_[s] = static_cast<std::uint32_t>(i + 1);
    }
}

std::int64_t IdMap::row(std::int64_t id) const {
    if (id < 0) return -1;
    if (ids_.empty()) return id < static_cast<std::int64_t>(n_) ? id : -1;
    std::call_once(built_, [this] { build_table(); });
    const HashShape shape(n_);
    for (std::size_t s = hash_id(id) >> shape.shift; slots_[s] != 0;
         s = (s + 1) & (shape.slots - 1)) {
        const std::uint32_t row = slots_[s] - 1;
        if (ids_[row] == id) return row;
    }
    return -1;
}

}  // namespace vecrecall
