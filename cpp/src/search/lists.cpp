#include "search/lists.hpp"

#include <cmath>

#include "core/scoring.hpp"
#include "kernels/registry.hpp"
#include "search/items.hpp"

namespace vecrecall::search {
namespace {

double distance(const Center& a, const Center& b) {
    double square = 0;
    for (std::size_t j = 0; j < a.wide.size(); ++j) {
        const double difference = a.wide[j] - b.wide[j];
        square += difference * difference;
    }
    return std::sqrt(square) * kUp;
}

}  // namespace

Lists::Lists(const MatrixView& centers, std::vector<std::uint32_t> sizes,
             std::vector<float> spreads, Metric metric, const Center& middle,
             const ListOptions& options)
    : options_(options),
      dim_(centers.dim),
      sizes_(std::move(sizes)),
      spreads_(std::move(spreads)),
      first_blocks_{0} {
    const kernels::KernelTable& table = kernels::active();
    centers_.reserve(size());
    for (std::size_t list = 0; list < size(); ++list) {
        centers_.push_back(center_at(table, centers.row(list), centers.dim));
        norms_.push_back(centers_.back().norm);
        shifts_.push_back(distance(centers_.back(), middle));
        const std::size_t blocks = blocks_for(sizes_[list]);
        list_of_block_.insert(list_of_block_.end(), blocks, static_cast<std::uint32_t>(list));
        first_blocks_.push_back(first_blocks_.back() + static_cast<std::uint32_t>(blocks));
    }
    // In their order, which borrowed rows keep.
    rows_.assign(centers.data, centers.data + centers.rows * centers.dim);
    const std::vector<double> bias(spreads_.begin(), spreads_.end());
    const Source source{.rows = {{rows_.data(), centers.rows, centers.dim}},
                        .bias = bias.empty() ? nullptr : bias.data()};
    as_items_ = std::make_shared<const Items>(
        make_base(source, metric, BuildOptions{.copy = false, .threads = 1}), true);
}

std::size_t Lists::bytes() const {
    std::size_t bytes = as_items_->bytes();  // their rows are those of this class
    bytes += norms_.size() * sizeof(double) + spreads_.size() * sizeof(float);
    for (const Center& center : centers_) {
        bytes += center.narrow.size() * sizeof(float) + center.wide.size() * sizeof(double);
    }
    return bytes;
}

}  // namespace vecrecall::search
