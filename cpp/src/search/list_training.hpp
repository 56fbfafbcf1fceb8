// From rows to lists: centers by k-means on a sample, every row to the nearest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "search/lists.hpp"
#include "search/segment.hpp"

namespace vecrecall::search {

// Called with how much of the work is done, of how much; by the thread that has begun it.
using BuildProgress = std::function<void(std::size_t done, std::size_t total)>;

// How many lists so many items are best kept in: about 4 sqrt(n), of 128 items at least.
std::size_t lists_for(std::size_t items);

// Centers that are there already, and to which list rows belong.
struct KnownLists {
    MatrixView centers;
    const std::int32_t* labels;  // per row, -1 where it is in none yet
    ArrayView<float> spreads;    // of lists that are given; none: zeros
};

// A segment of the rows in lists: trained, or with known centers. A list that is more than
// four times as long as the average is split, an empty one vanishes; those of given centers stay.
std::shared_ptr<const Segment> make_lists(const Source& source, Metric metric,
                                          const ListOptions& options, const KnownLists* known,
                                          const BuildOptions& build, const BuildProgress& progress);

}  // namespace vecrecall::search
