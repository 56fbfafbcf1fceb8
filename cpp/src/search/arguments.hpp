// The arguments of a search, prepared for its parts.
#pragma once

#include <memory>
#include <vector>

#include "search/items.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

// The smallest float32 score that is not below min_score.
float smallest_passing(double min_score);

// How many of the threads the work is worth.
int threads_worth(const Items& items, std::size_t queries, int threads);

// The bits of the masks for these items, kept for the time of a search.
class Allowed {
  public:
    Allowed(const Items& items, const IdMask* const* masks, std::size_t queries);

    const std::uint64_t* const* rows() const { return rows_.empty() ? nullptr : rows_.data(); }

  private:
    std::vector<std::shared_ptr<const Bitmap>> kept_;
    std::vector<const std::uint64_t*> rows_;
};

}  // namespace vecrecall::search
