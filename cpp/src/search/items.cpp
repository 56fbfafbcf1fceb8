#include "search/items.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "kernels/registry.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::search {
namespace {

std::uint64_t next_version() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

Bitmap all_live(const Segment& segment) {
    const BlockLayout& layout = segment.layout();
    Bitmap words(layout.slots() / kernels::kWordItems, 0);
    for (std::size_t b = 0; b < layout.blocks(); ++b) {
        std::uint64_t* to = words.data() + layout.slot(b) / kernels::kWordItems;
        const std::size_t n = layout.size(b);
        std::fill_n(to, n / 64, ~std::uint64_t{0});
        if (n % 64 != 0) to[n / 64] = (std::uint64_t{1} << (n % 64)) - 1;
    }
    return words;
}

}  // namespace

Items::Items(std::shared_ptr<const Segment> base, bool with_codes, std::size_t probes)
    : segments_{std::move(base)},
      base_ids_(&segments_.front()->ids()),
      live_(all_live(*segments_.front())),
      with_codes_(with_codes && Codes::possible(segments_.front()->dim())),
      outlier_error_(segments_.front()->codes().outlier_error()),
      n_ranks_(segments_.front()->size()),
      version_(next_version()) {
    list_blocks();
    const ListOptions options = lists() ? lists()->options() : ListOptions{};
    list_settings_ = {
        static_cast<std::int64_t>(options.asked), static_cast<std::int64_t>(options.seed),
        static_cast<std::int64_t>(options.trained_for), static_cast<std::int64_t>(probes)};
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
      list_settings_(before.list_settings_),
      version_(next_version()) {
    list_blocks();
}

void Items::list_blocks() {
    std::size_t slots = 0;
    for (const auto& segment : segments_) {
        rows_ += segment->size();
        has_offsets_ |= segment->has_offsets();
        const BlockLayout& layout = segment->layout();
        for (std::size_t b = 0; b < layout.blocks(); ++b) {
            block_of_word_.resize((slots + layout.slot(b)) / kernels::kWordItems +
                                      whole_words(layout.size(b)) / kernels::kWordItems,
                                  static_cast<std::uint32_t>(blocks_.size()));
            blocks_.push_back({.segment = segment.get(),
                               .index = static_cast<std::uint32_t>(b),
                               .size = static_cast<std::uint32_t>(layout.size(b)),
                               .first = static_cast<std::uint32_t>(layout.first(b)),
                               .first_row = static_cast<std::uint32_t>(slots + layout.slot(b))});
        }
        slots += layout.slots();
    }
    if (!lists()) plain_rows_ = base().size();
    for (const std::uint64_t word : live_) size_ += static_cast<std::size_t>(std::popcount(word));
}

std::shared_ptr<const Items> Items::with_probes(std::size_t probes) const {
    auto items = std::make_shared<Items>(*this);
    items->list_settings_[3] = static_cast<std::int64_t>(probes);
    items->version_ = next_version();
    return items;
}

double Items::bias(std::size_t row) const {
    const Block& b = block_of(row);
    const double* bias = b.segment->scored().bias;
    return bias ? bias[b.local(row)] : 0.0;
}

bool Items::has_bias() const {
    return std::any_of(segments_.begin(), segments_.end(),
                       [](const auto& segment) { return segment->scored().bias != nullptr; });
}

std::vector<std::uint32_t> Items::rows_by_insertion_rank() const {
    constexpr auto kNone = ~std::uint32_t{0};
    std::vector<std::uint32_t> rows(n_ranks_, kNone);
    for_live([&](std::size_t row) { rows[insertion_rank(row)] = static_cast<std::uint32_t>(row); });
    std::erase(rows, kNone);
    return rows;
}

std::int64_t Items::find(std::int64_t id) const {
    const std::int64_t local = base().ids().row(id);
    if (local >= 0) {
        const std::size_t row = base().layout().slot_of_row(static_cast<std::size_t>(local));
        if (is_live(row)) return static_cast<std::int64_t>(row);
    }
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
    if (segments_.size() == 1 && plain_rows_ != 0) {
        score_rows(table, base().scored(), query, query_norm, rows, n, scores);
        return;
    }
    std::vector<std::uint32_t> local(n);
    for (std::size_t i = 0; i < n; ++i) {
        local[i] = static_cast<std::uint32_t>(block_of(rows[i]).local(rows[i]));
    }
    for (std::size_t i = 0; i < n;) {
        const Segment* segment = block_of(rows[i]).segment;
        std::size_t end = i + 1;
        while (end < n && block_of(rows[end]).segment == segment) ++end;
        score_rows(table, segment->scored(), query, query_norm, local.data() + i, end - i,
                   scores + i);
        i = end;
    }
}

std::shared_ptr<const Segment> make_base(const Source& source, Metric metric,
                                         const BuildOptions& options) {
    Center center = choose_center(kernels::active(), source.rows, metric);
    if (source.bias != nullptr) center.direction.clear();  // a bias has the place of that part
    return std::make_shared<const Segment>(
        source, metric, std::make_shared<const Center>(std::move(center)), kBlockItems, options);
}

}  // namespace vecrecall::search
