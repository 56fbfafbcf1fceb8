#include "vecrecall/caps.hpp"

#include <unordered_map>
#include <vector>

#include "core/id_map.hpp"
#include "platform/canceling.hpp"

namespace vecrecall {

struct Caps::Table {
    IdMap map;
    std::vector<std::uint32_t> groups;  // by row of the map, numbered from 0

    Table(const std::int64_t* ids, std::size_t n) : map(ids, n), groups(n) {}
};

Caps::Caps(const std::int64_t* ids, const std::int64_t* groups, std::size_t n, std::int64_t limit)
    : limit_(limit) {
    check_ids(ids, n);
    auto table = std::make_unique<Table>(ids, n);
    std::unordered_map<std::int64_t, std::uint32_t> numbers;
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        const auto next = static_cast<std::uint32_t>(numbers.size());
        table->groups[i] = numbers.try_emplace(groups[i], next).first->second;
    }
    n_groups_ = numbers.size();
    table_ = std::move(table);
}

Caps::Caps(Caps&&) noexcept = default;
Caps& Caps::operator=(Caps&&) noexcept = default;
Caps::~Caps() = default;

std::size_t Caps::size() const { return table_->groups.size(); }

void Caps::members(std::int64_t* ids, std::int64_t* groups) const {
    for (std::size_t i = 0; i < size(); ++i) {
        canceling::check_each(i);
        ids[i] = table_->map.id(i);
        groups[i] = std::int64_t{table_->groups[i]};
    }
}

std::int64_t Caps::group(std::int64_t id) const {
    const std::int64_t row = table_->map.row(id);
    return row < 0 ? -1 : std::int64_t{table_->groups[static_cast<std::size_t>(row)]};
}

}  // namespace vecrecall
