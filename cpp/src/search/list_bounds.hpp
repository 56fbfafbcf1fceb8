// From above: no item of a list scores higher for a query.
#pragma once

#include <vector>

#include "search/items.hpp"
#include "search/query.hpp"

namespace vecrecall::search {

class ListBounds {
  public:
    explicit ListBounds(const Items& items);

    // For queries [first, first + n) of a batch: per list the float32 score that none of its items
    // exceeds, n x lists of them. Infinite where there is no bound.
    std::vector<float> of(const kernels::KernelTable& table, const QueryBatch& queries,
                          std::size_t first, std::size_t n) const;

  private:
    float bound(const Query& query, std::size_t list, float ranked_by) const;

    const Items& items_;
    std::vector<double> radii_;   // per list, at least max |r|
    std::vector<double> biases_;  // per list, at least the largest bias
};

}  // namespace vecrecall::search
