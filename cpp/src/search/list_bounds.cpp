#include "search/list_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search/list_chooser.hpp"

namespace vecrecall::search {

ListBounds::ListBounds(const Items& items) : items_(items) {
    const Lists& lists = *items.lists();
    const Segment& base = items.base();
    radii_.assign(lists.size(), 0.0);
    biases_.assign(lists.size(), 0.0);
    for (std::size_t list = 0; list < lists.size(); ++list) {
        double bias = -std::numeric_limits<double>::infinity();
        for (std::size_t b = lists.first_block(list); b < lists.end_block(list); ++b) {
            radii_[list] = std::max(radii_[list], base.stats(b).radius);
            bias = std::max(bias, base.top_bias(b));
        }
        biases_[list] = bias;
    }
}

// With C the center's score before its rounding to float32, R >= |r| and the bias b of an item:
//
//     ip:     q.x + b        <= C + |q| R + b
//     cosine: q.x/|q||x| + b <= C |c| + R + b, since C is the cosine of c
//     l2:     b - |q - x|^2  <= b - max(0, sqrt(-C) - R)^2
//
// `ranked_by` is at least a sum of two, rounded to float32: the list's spread and C, under ip C /
// |q| of q / |q| rounded to float32, which is off by (2^-24 + sqrt(d) 2^-150) |c| at most. So C
// lies at most half a step of float32 of that sum above what is left of it without the spread,
// where it is finite: 2^-24 of the sum + 2^-149. |c| is at most `norm`, less by 2^-29 of it. All
// that is computed here in float64, and the item's exact score itself, are off by (d + 8) 2^-50 of
// the magnitudes at most, as in bound.cpp; all of this is far less than 2^-20 of them. Rounding to
// float32 is monotonic.
float ListBounds::bound(const Query& query, std::size_t list, float ranked_by) const {
    constexpr double kSlack = 0x1p-20;
    constexpr double kSmallest = 0x1p-140;
    if (!std::isfinite(ranked_by)) return std::numeric_limits<float>::infinity();
    const double spread = items_.lists()->spread(list);
    const double c = ranked_by - spread;
    const double r = radii_[list];
    const double norm = items_.lists()->norm(list);
    double largest = 0;
    double magnitude = 0;
    switch (items_.metric()) {
        case Metric::kIp:
            largest = query.length * (c + r + kSmallest);
            magnitude = query.length * (norm + spread + r);
            break;
        case Metric::kCosine:
            largest = c * norm + r;
            magnitude = (1 + spread) * (1 + norm) + r;
            break;
        case Metric::kL2: {
            const double length = std::sqrt(std::max(-c, 0.0));
            const double far = std::max(0.0, length * (1 - kSlack) - r);
            largest = 0.0 - far * far;
            magnitude = far * far;
            break;
        }
    }
    const double bias = biases_[list];
    const double bound = largest + bias + kSlack * (magnitude + std::fabs(bias)) + kSmallest;
    return bound == bound ? static_cast<float>(bound) : std::numeric_limits<float>::infinity();
}

std::vector<float> ListBounds::of(const kernels::KernelTable& table, const QueryBatch& queries,
                                  std::size_t first, std::size_t n) const {
    const std::size_t lists = items_.lists()->size();
    std::vector<float> bounds(n * lists);
    bound_centers(table, *items_.lists(), queries, first, n, bounds.data());
    for (std::size_t q = 0; q < n; ++q) {
        for (std::size_t list = 0; list < lists; ++list) {
            float& at = bounds[q * lists + list];
            at = items_.lists()->sizes()[list] == 0 ? -std::numeric_limits<float>::infinity()
                                                    : bound(queries[first + q], list, at);
        }
    }
    return bounds;
}

}  // namespace vecrecall::search
