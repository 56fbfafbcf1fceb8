#include "search/update.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <string>

#include "platform/canceling.hpp"
#include "search/list_tuning.hpp"
#include "search/segment_builder.hpp"
#include "vecrecall/values.hpp"

namespace vecrecall::search {
namespace {

// A removed row costs a scan as much as a live one. Where the base is ordered by length, an added
// row costs more than that, and as many were added perhaps. Borrowed rows would have to be
// copied: more of them must be gone.
constexpr std::size_t kDeadShare = 16;
constexpr std::size_t kDeadShareOrdered = 32;
constexpr std::size_t kDeadShareBorrowed = 4;

// Additions gather in segments of up to so many items, of which so many are merged into one,
// and so on: removed rows go, and exact scores jump less between segments. Where the base is
// ordered by length, merged segments are too, in blocks so small that there are some to pass over.
constexpr std::size_t kFewItems = kBlockItems;
constexpr std::size_t kFewItemsOrdered = 256;
constexpr std::size_t kMerged = kFewestOrderedBlocks + 1;
constexpr std::size_t kGrowth = 8;
constexpr std::size_t kLevels = 3;

constexpr std::size_t kFewestAddedRows = 4096;

// Rows that are in no list are scanned by every search: once more than this share of those in lists
// are, all are put into lists.
constexpr std::size_t kLooseShare = 32;
constexpr std::size_t kFewestLoose = 4096;

// Lists, where their number follows from that of the items, are made again when those are so
// many times as many as they were made for.
constexpr std::size_t kOutgrown = 4;

// An update in progress.
class Update {
  public:
    Update(const Items& items, int threads)
        : items_(items),
          threads_(threads),
          live_(items.live()),
          n_live_(items.size()),
          n_ranks_(items.n_ranks()),
          segments_(items.segments()),
          added_(items.added()) {}

    std::size_t size() const { return n_live_; }
    void remove(std::size_t row);
    // Gives every new item its insertion rank: that of the item that it replaces, or the next.
    void assign_ranks(const ItemsView& more, OnDuplicate known);
    std::shared_ptr<const Items> with(const ItemsView& more);
    std::shared_ptr<const Items> rebuilt(const ItemsView& more, bool retrain = false,
                                         const BuildProgress& progress = {}) const;

  private:
    bool is_live(std::size_t row) const { return (live_[row / 64] >> (row % 64) & 1) != 0; }
    bool worth_rebuilding(std::size_t more) const;
    std::shared_ptr<const Items> in_lists(const Source& source,
                                          const std::vector<std::int32_t>& labels, bool retrain,
                                          const BuildOptions& options,
                                          const BuildProgress& progress) const;
    void append(const ItemsView& more);
    std::size_t first_merged() const;
    std::size_t few_items() const;
    std::size_t block_items(std::size_t items) const;
    std::size_t row_behind(std::size_t segments) const;
    void take_from(std::size_t segment, SegmentBuilder& builder);
    std::size_t take_last(std::size_t more, SegmentBuilder& builder);
    void enter(std::size_t first_new);

    const Items& items_;
    int threads_;
    Bitmap live_;
    std::size_t n_live_;
    std::size_t n_ranks_;
    std::vector<std::size_t> insertion_ranks_;  // of the new items
    std::vector<std::shared_ptr<const Segment>> segments_;
    std::shared_ptr<AddedRows> added_;
};

void Update::remove(std::size_t row) {
    if (!is_live(row)) return;
    live_[row / 64] &= ~(std::uint64_t{1} << (row % 64));
    --n_live_;
}

void Update::assign_ranks(const ItemsView& more, OnDuplicate known) {
    insertion_ranks_.reserve(more.rows.rows);
    for (std::size_t i = 0; i < more.rows.rows; ++i) {
        canceling::check_each(i);
        const std::int64_t row = items_.find(more.ids[i]);
        if (row >= 0 && known == OnDuplicate::kError) {
            throw std::invalid_argument("ids: expected ids that the index does not have, got " +
                                        std::to_string(more.ids[i]) + " at row " +
                                        std::to_string(i));
        }
        insertion_ranks_.push_back(row < 0 ? n_ranks_++
                                           : items_.insertion_rank(static_cast<std::size_t>(row)));
        if (row >= 0) remove(static_cast<std::size_t>(row));
    }
}

std::shared_ptr<const Items> Update::with(const ItemsView& more) {
    const std::size_t n = more.rows.rows;
    if (n_live_ + n > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("vectors: expected fewer than 2^31 rows in all");
    }
    if (worth_rebuilding(n)) return rebuilt(more);
    if (n > 0) append(more);
    return std::make_shared<const Items>(items_, std::move(segments_), std::move(live_),
                                         std::move(added_), n_ranks_);
}

// Twice as many items as the base was made for may want another center; and ranks stay few.
bool Update::worth_rebuilding(std::size_t more) const {
    const Segment& base = items_.base();
    const std::size_t dead = items_.rows() - n_live_;
    const std::size_t share = base.borrows()     ? kDeadShareBorrowed
                              : base.by_length() ? kDeadShareOrdered
                                                 : kDeadShare;
    if (base.lists() &&
        items_.rows() + more - base.size() > std::max(base.size() / kLooseShare, kFewestLoose)) {
        return true;
    }
    return n_ranks_ > 2 * base.size() || dead * share > items_.rows() + more ||
           live_.size() * 64 + whole_words(more) > kMostSlots;
}

std::shared_ptr<const Items> Update::rebuilt(const ItemsView& more, bool retrain,
                                             const BuildProgress& progress) const {
    // Borrowed rows may come from a damaged file, or have changed.
    const std::int64_t bad =
        items_.base().borrows() ? first_nonfinite_row(items_.base().scored().rows, threads_) : -1;
    if (bad >= 0) {
        throw std::invalid_argument("vectors: expected finite values, got NaN or infinity in row " +
                                    std::to_string(bad) + " of the borrowed ones");
    }
    constexpr auto kNone = ~std::uint32_t{0};
    std::vector<std::uint32_t> at(n_ranks_, kNone);  // a row, or behind all rows a new item
    for (std::size_t row = 0; row < live_.size() * 64; ++row) {
        canceling::check_each(row);
        if (is_live(row)) at[items_.insertion_rank(row)] = static_cast<std::uint32_t>(row);
    }
    const std::size_t n_rows = live_.size() * 64;
    for (std::size_t i = 0; i < insertion_ranks_.size(); ++i) {
        at[insertion_ranks_[i]] = static_cast<std::uint32_t>(n_rows + i);
    }
    SegmentBuilder builder(items_, n_live_ + insertion_ranks_.size());
    std::vector<std::int32_t> labels;
    for (const std::uint32_t from : at) {
        if (from == kNone) continue;
        if (from < n_rows) builder.take(from, builder.size());
        else builder.take(more, from - n_rows, builder.size());
        if (items_.lists())
            labels.push_back(from < n_rows ? static_cast<std::int32_t>(items_.list_of(from)) : -1);
    }
    Source source = builder.source();
    source.insertion_ranks = nullptr;
    const BuildOptions options{.codes = items_.has_codes(), .threads = threads_};
    if (items_.lists()) return in_lists(source, labels, retrain, options, progress);
    return std::make_shared<const Items>(make_base(source, items_.metric(), options),
                                         items_.has_codes());
}

std::shared_ptr<const Items> Update::in_lists(const Source& source,
                                              const std::vector<std::int32_t>& labels, bool retrain,
                                              const BuildOptions& options,
                                              const BuildProgress& progress) const {
    const Lists& lists = *items_.lists();
    const bool outgrown =
        lists.options().asked == 0 && source.rows.size() >= kOutgrown * lists.options().trained_for;
    if (retrain || outgrown || lists.size() == 0) {
        return items_in_lists(source, items_.metric(), lists.options(), options, progress);
    }
    const KnownLists known{.centers = lists.centers(),
                           .labels = labels.data(),
                           .spreads = {lists.spreads().data(), lists.spreads().size()}};
    const Items items(make_lists(source, items_.metric(), lists.options(), &known, options, {}),
                      items_.has_codes());
    return items.with_probes(items_.probes());
}

void Update::append(const ItemsView& more) {
    const std::size_t n = more.rows.rows;
    SegmentBuilder builder(items_, n + kBlockItems);
    const std::size_t merged = first_merged();
    std::size_t first_new = 0;
    if (merged < segments_.size()) take_from(merged, builder);
    else first_new = take_last(n, builder);
    for (std::size_t i = 0; i < n; ++i) builder.take(more, i, insertion_ranks_[i]);
    const std::size_t first_row = row_behind(segments_.size());
    const BuildOptions options{.codes = items_.has_codes(), .threads = threads_};
    segments_.push_back(std::make_shared<const Segment>(builder.source(), items_.metric(),
                                                        items_.base().shared_center(),
                                                        block_items(builder.size()), options));
    live_.resize(row_behind(segments_.size()) / 64, 0);
    for (std::size_t i = first_new; i < builder.size(); ++i) {
        const std::size_t row = first_row + i;
        live_[row / 64] |= std::uint64_t{1} << (row % 64);
    }
    enter(first_new);
}

// The first of the segments at the end, but for the base, that are so small and so many that they
// are to be merged; or the number of segments.
std::size_t Update::first_merged() const {
    std::size_t first = segments_.size();
    std::size_t limit = few_items();
    std::size_t s = segments_.size();
    for (std::size_t level = 0; level < kLevels; ++level) {
        limit *= kGrowth;
        while (s > 1 && segments_[s - 1]->size() < limit) --s;
        if (segments_.size() - s >= kMerged) first = s;
    }
    return first;
}

std::size_t Update::few_items() const { return items_.ordered() ? kFewItemsOrdered : kFewItems; }

std::size_t Update::block_items(std::size_t items) const {
    if (!items_.ordered()) return kBlockItems;
    const std::size_t share = std::bit_floor(items / kFewestOrderedBlocks);
    return std::clamp(share, kFewItemsOrdered, kBlockItems);
}

std::size_t Update::row_behind(std::size_t segments) const {
    std::size_t slots = 0;
    for (std::size_t s = 0; s < segments; ++s) slots += segments_[s]->layout().slots();
    return slots;
}

// The live rows of the segments from one on; their rows get other numbers.
void Update::take_from(std::size_t segment, SegmentBuilder& builder) {
    const std::size_t first = row_behind(segment);
    for (std::size_t row = first; row < live_.size() * 64; ++row) {
        if (is_live(row)) builder.take(row, items_.insertion_rank(row));
    }
    segments_.resize(segment);
    live_.resize(first / 64);
    added_ = nullptr;
}

// All of the last segment where its only block has room for so many more: its rows keep their
// numbers, and those removed stay. Returns how many they are.
std::size_t Update::take_last(std::size_t more, SegmentBuilder& builder) {
    const std::size_t size = segments_.back()->size();
    if (segments_.size() == 1 || size + more > few_items()) return 0;
    const std::size_t first = row_behind(segments_.size() - 1);
    for (std::size_t i = 0; i < size; ++i)
        builder.take(first + i, items_.insertion_rank(first + i));
    segments_.pop_back();
    return size;
}

// Makes the items of the last segment known, from one on; or all that are not the base's, where
// they have other rows now or the table is full.
void Update::enter(std::size_t first_new) {
    std::size_t from = segments_.size() - 1;
    if (!added_ || added_->room() < segments_[from]->size() - first_new) {
        std::size_t most = 0;
        for (std::size_t s = 1; s < segments_.size(); ++s) most += segments_[s]->size();
        added_ = std::make_shared<AddedRows>(std::max(2 * most, kFewestAddedRows));
        from = 1;
        first_new = 0;
    }
    for (std::size_t s = from; s < segments_.size(); ++s) {
        const Segment& segment = *segments_[s];
        const std::size_t start = row_behind(s);
        for (std::size_t i = first_new; i < segment.size(); ++i) {
            canceling::check_each(i);
            const std::size_t row = start + i;
            if (is_live(row)) added_->put(segment.ids().id(i), static_cast<std::uint32_t>(row));
        }
    }
}

}  // namespace

std::shared_ptr<const Items> items_in_lists(const Source& source, Metric metric,
                                            const ListOptions& options, const BuildOptions& build,
                                            const BuildProgress& progress) {
    const Items items(make_lists(source, metric, options, nullptr, build, progress), build.codes);
    return items.with_probes(first_probes(items, build.threads));
}

std::shared_ptr<const Items> items_in_given_lists(const Source& source, Metric metric,
                                                  const MatrixView& centers,
                                                  const ArrayView<float>& spreads,
                                                  std::size_t probes, const BuildOptions& build,
                                                  const BuildProgress& progress) {
    const std::vector<std::int32_t> labels(source.rows.size(), -1);
    const KnownLists known{.centers = centers, .labels = labels.data(), .spreads = spreads};
    const ListOptions options{.asked = centers.rows, .seed = 0, .trained_for = 0};
    const Items items(make_lists(source, metric, options, &known, build, progress), build.codes);
    return items.with_probes(probes != 0 ? probes : first_probes(items, build.threads));
}

std::shared_ptr<const Items> retrained(const std::shared_ptr<const Items>& items, int threads,
                                       const BuildProgress& progress) {
    return Update(*items, threads).rebuilt({}, true, progress);
}

std::shared_ptr<const Items> with_items(const std::shared_ptr<const Items>& items,
                                        const ItemsView& more, OnDuplicate known, int threads) {
    check_ids(more.ids, more.rows.rows);
    if (more.rows.rows == 0) return items;
    Update update(*items, threads);
    update.assign_ranks(more, known);
    return update.with(more);
}

std::shared_ptr<const Items> without_ids(const std::shared_ptr<const Items>& items,
                                         const std::int64_t* ids, std::size_t n, OnMissing unknown,
                                         int threads) {
    Update update(*items, threads);
    for (std::size_t i = 0; i < n; ++i) {
        canceling::check_each(i);
        const std::int64_t row = items->find(ids[i]);
        if (row >= 0) {
            update.remove(static_cast<std::size_t>(row));
        } else if (unknown == OnMissing::kError) {
            throw std::out_of_range("ids: expected ids of the index, got " +
                                    std::to_string(ids[i]));
        }
    }
    return update.size() == items->size() ? items : update.with({});
}

std::shared_ptr<const Items> compacted(const std::shared_ptr<const Items>& items, int threads) {
    const bool whole = items->segments().size() == 1 && items->size() == items->rows();
    return whole ? items : Update(*items, threads).rebuilt({});
}

}  // namespace vecrecall::search
