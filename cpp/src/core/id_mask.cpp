#include <algorithm>
#include <mutex>

#include "platform/at_fork.hpp"
#include "search/items.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall {
namespace {

search::Bitmap rows_of(const search::Items& items, const std::vector<std::int64_t>& ids,
                       bool complement) {
    search::Bitmap rows(items.live().size(), 0);
    items.for_rows_of(ids.data(), ids.size(),
                      [&](std::size_t row) { rows[row / 64] |= std::uint64_t{1} << (row % 64); });
    if (!complement) return rows;
    for (std::size_t w = 0; w < rows.size(); ++w) rows[w] = ~rows[w] & items.live()[w];
    return rows;
}

}  // namespace

struct IdMask::Impl {
    std::vector<std::int64_t> ids;
    bool complement;
    std::uint64_t version = 0;  // of the items that the rows are of
    std::shared_ptr<const search::Bitmap> rows;
};

IdMask::IdMask(const std::int64_t* ids, std::size_t n, bool complement)
    : impl_(new Impl{.ids = {ids, ids + n}, .complement = complement}) {}
IdMask::~IdMask() = default;
IdMask::IdMask(IdMask&&) noexcept = default;
IdMask& IdMask::operator=(IdMask&&) noexcept = default;

std::shared_ptr<const std::vector<std::uint64_t>> IdMask::rows_in(
    const search::Items& items) const {
    {
        const std::lock_guard lock(at_fork::lock_of(impl_.get()));
        if (impl_->version == items.version()) return impl_->rows;
    }
    auto rows =
        std::make_shared<const search::Bitmap>(rows_of(items, impl_->ids, impl_->complement));
    const std::lock_guard lock(at_fork::lock_of(impl_.get()));
    impl_->version = items.version();
    impl_->rows = rows;
    return rows;
}

}  // namespace vecrecall
