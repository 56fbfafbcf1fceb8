#include "search/items.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

constexpr std::size_t kBlockWords = kBlockItems / kernels::kWordItems;

std::uint64_t next_version() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

Bitmap all_live(const Segment& segment) {
    const std::size_t n = segment.size();
    Bitmap words(segment.blocks() * kBlockWords, 0);
    std::fill_n(words.begin(), n / 64, ~std::uint64_t{0});
    if (n % 64 != 0) words[n / 64] = (std::uint64_t{1} << (n % 64)) - 1;
    return words;
}

}  // namespace

Items::Items(std::shared_ptr<const Segment> base, bool with_codes)
    : segments_{std::move(base)},
      base_ids_(&segments_.front()->ids()),
      live_(all_live(*segments_.front())),
      with_codes_(with_codes && Codes::possible(segments_.front()->dim())),
      outlier_error_(segments_.front()->codes().outlier_error()),
      n_ranks_(segments_.front()->size()),
      version_(next_version()) {
    list_blocks();
}

Items::Items(const Items& before, std::vector<std::shared_ptr<const Segment>> segments, Bitmap live,
             std::shared_ptr<AddedRows> added, std::size_t n_ranks)
    : segments_(std::move(segments)),
      base_ids_(&segments_.front()->ids()),
      live_(std::move(live)),
      added_(std::move(added)),
      with_codes_(before.with_codes_),
      outlier_error_(before.outlier_error_),
      n_ranks_(n_ranks),
      version_(next_version()) {
    list_blocks();
}

void Items::list_blocks() {
    for (const auto& segment : segments_) {
        rows_ += segment->size();
        has_offsets_ |= segment->has_offsets();
        for (std::size_t b = 0; b < segment->blocks(); ++b) blocks_.push_back({segment.get(), b});
    }
    for (const std::uint64_t word : live_) size_ += static_cast<std::size_t>(std::popcount(word));
}

double Items::bias(std::size_t row) const {
    const Block& b = blocks_[row / kBlockItems];
    const double* bias = b.segment->scored().bias;
    return bias ? bias[b.first() + row % kBlockItems] : 0.0;
}

bool Items::has_bias() const {
    return std::any_of(segments_.begin(), segments_.end(),
                       [](const auto& segment) { return segment->scored().bias != nullptr; });
}

std::size_t Items::bytes() const {
    std::size_t bytes = live_.size() * sizeof(Bitmap::value_type);
    if (added_ != nullptr) bytes += added_->bytes();
    for (const auto& segment : segments_) bytes += segment->bytes();
    return bytes;
}

std::vector<std::uint32_t> Items::rows_by_insertion_rank() const {
    constexpr auto kNone = ~std::uint32_t{0};
    std::vector<std::uint32_t> rows(n_ranks_, kNone);
    for_live([&](std::size_t row) { rows[insertion_rank(row)] = static_cast<std::uint32_t>(row); });
    std::erase(rows, kNone);
    return rows;
}

std::int64_t Items::find(std::int64_t id) const {
    const std::int64_t row = base().ids().row(id);
    if (row >= 0 && is_live(static_cast<std::size_t>(row))) return row;
    if (!added_) return -1;
    return added_->find(id, [&](std::size_t r) { return is_live(r) && this->id(r) == id; });
}

std::int64_t Items::largest_id() const {
    std::int64_t largest = -1;
    for_live([&](std::size_t row) {
        canceling::check_each(row);
        largest = std::max(largest, id(row));
    });
    return largest;
}

// The rows lie in runs of one segment each: scans visit blocks one after the other.
void Items::score(const kernels::KernelTable& table, const double* query, double query_norm,
                  const std::uint32_t* rows, std::size_t n, float* scores) const {
    if (segments_.size() == 1) {
        score_rows(table, base().scored(), query, query_norm, rows, n, scores);
        return;
    }
    std::vector<std::uint32_t> local(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Block& b = blocks_[rows[i] / kBlockItems];
        local[i] = static_cast<std::uint32_t>(b.first() + rows[i] % kBlockItems);
    }
    for (std::size_t i = 0; i < n;) {
        const Segment* segment = blocks_[rows[i] / kBlockItems].segment;
        std::size_t end = i + 1;
        while (end < n && blocks_[rows[end] / kBlockItems].segment == segment) ++end;
        score_rows(table, segment->scored(), query, query_norm, local.data() + i, end - i,
                   scores + i);
        i = end;
    }
}

std::shared_ptr<const Segment> make_base(const Source& source, Metric metric,
                                         const BuildOptions& options) {
    auto center =
        std::make_shared<const Center>(choose_center(kernels::active(), source.rows, metric));
    return std::make_shared<const Segment>(source, metric, std::move(center), kBlockItems, options);
}

}  // namespace vecrecall::search
