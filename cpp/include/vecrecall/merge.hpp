// Joining ranked lists.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "vecrecall/caps.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall {

// Lists of disjoint shards into one, row by row: what one index over all items would answer.
// Throws std::invalid_argument when an id stands in two lists of a row.
void merge_shards(const std::vector<ListsView>& shards, const ListsOut& out, int threads = 0);

enum class Join { kMax, kSum };

struct GroupsOut {
    ListsOut lists;
    std::int32_t* n_rows;    // how many of the group's rows hold the item; 0 on padding
    std::int64_t* best_row;  // the row with the item's largest score; -1 on padding
};

// Rows offsets[g] .. offsets[g + 1] - 1 become list g, each id once. A sum is accumulated in
// float64 in row order and rounded once; a repeat within a row does not count again.
void merge_groups(const ListsView& lists, const std::int64_t* offsets, Join how,
                  const GroupsOut& out, int threads = 0);

// The recommendations of one source for each user, best first; scores need not be sorted. An id of
// -1 is skipped, a repeat within a row too.
struct Channel {
    std::string_view name;  // for messages
    const std::int64_t* ids = nullptr;
    const float* scores = nullptr;
    std::size_t rows = 0;
    const std::int64_t* offsets = nullptr;  // CSR rows; null: rows of `width` places ...
    std::size_t width = 0;
    const std::int32_t* counts = nullptr;  // ... of which so many are in use; null: all

    std::size_t begin(std::size_t row) const {
        return offsets ? static_cast<std::size_t>(offsets[row]) : row * width;
    }
    std::size_t length(std::size_t row) const {
        if (offsets) return static_cast<std::size_t>(offsets[row + 1] - offsets[row]);
        return counts ? static_cast<std::size_t>(counts[row]) : width;
    }
};

inline constexpr std::size_t kMaxChannels = 64;

// The policies. Every vector has one value per channel.

// Reciprocal rank fusion: the sum of w / (k + rank).
struct Rrf {
    std::vector<double> weights;
    double k = 60;
};

// How a channel's scores for one user are made comparable with those of others.
// An infinite score counts as one spread of the list's finite scores beyond these; where they are
// all equal, their size, at least 1.
enum class Normalize { kNone, kMinMax, kZScore, kMax, kL2 };

// The value of a list for an item that it does not hold: nothing, 0, or its lowest normalized score
// (nothing where it is empty). Automatic: the lowest where the list has a negative score that the
// normalization leaves negative, else nothing.
enum class Absent { kAutomatic, kZero, kMin };

struct WeightedSum {
    static constexpr bool kNegativeSinks = true;
    std::vector<double> weights;
    Normalize normalize = Normalize::kNone;
    Absent absent = Absent::kAutomatic;
};

// The largest w * s.
struct Maximum {
    static constexpr bool kNegativeSinks = false;
    std::vector<double> weights;
    Normalize normalize = Normalize::kNone;
    Absent absent = Absent::kAutomatic;
};

// Rounds over the channels; a turn takes weights[c] items.
struct Interleave {
    std::vector<std::int64_t> weights;
    bool refill = true;  // an item already taken does not use up a place
};

// Channels in order, each up to its quota, or until the list has so many items.
struct Priority {
    std::vector<std::int64_t> quotas;
    bool cumulative = false;
    bool backfill = true;  // what is left of the list, in channel order
};

// The list split by share (whole numbers, in proportion) within bounds; what a channel cannot fill
// is split again.
struct Quota {
    std::vector<std::uint64_t> shares;
    std::vector<std::int64_t> minimum;
    std::vector<std::int64_t> maximum;
};

using Policy = std::variant<Rrf, WeightedSum, Maximum, Interleave, Priority, Quota>;

// Both act when items are taken: they change no rank and no normalization.
struct MergeFilters {
    RaggedView<std::int64_t> exclude;  // ids per row; no rows: none
    std::vector<const Caps*> caps;
};

struct MergeOut {
    ListsOut lists;
    std::uint64_t* channels;  // (rows, width): bit c where channel c held the item
    std::int32_t* unfilled;   // (rows, n_channels): slots that the channel could not fill itself
    std::int32_t* ranks;      // (rows, width, n_channels): from 1, 0 where absent; null: not wanted
    float* channel_scores;    // the same shape: NaN where absent
    // Gets the bits of channels whose lists have negative scores under Absent::kZero.
    std::atomic<std::uint64_t>* negative = nullptr;
};

// Score policies order by score, then id; the others by turn, with scores of 1 / position. Throws
// std::invalid_argument for a score that is NaN, an id below -1, and sizes that do not fit.
void merge(const std::vector<Channel>& channels, const Policy& policy, const MergeFilters& filters,
           const MergeOut& out, int threads = 0);

}  // namespace vecrecall
