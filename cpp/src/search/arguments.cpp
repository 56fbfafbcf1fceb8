#include "search/arguments.hpp"

#include <cmath>
#include <limits>

#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// Waking threads costs about as much as this many multiply-adds.
constexpr std::size_t kTinyWork = std::size_t{1} << 20;

}  // namespace

float smallest_passing(double min_score) {
    const auto rounded = static_cast<float>(min_score);
    if (static_cast<double>(rounded) >= min_score) return rounded;
    return std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

int threads_worth(const Items& items, std::size_t queries, int threads) {
    const double work = static_cast<double>(queries) * static_cast<double>(items.rows()) *
                        static_cast<double>(items.dim());
    if (work < static_cast<double>(kTinyWork)) return 1;
    return threads == 0 ? num_threads() : threads;
}

Allowed::Allowed(const Items& items, const IdMask* const* masks, std::size_t queries) {
    if (!masks) return;
    for (std::size_t q = 0; q < queries; ++q) {
        if (q == 0 || masks[q] != masks[q - 1]) kept_.push_back(masks[q]->rows_in(items));
        rows_.push_back(kept_.back()->data());
    }
}

}  // namespace vecrecall::search
