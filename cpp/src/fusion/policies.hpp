// The merge policies: one function each, for one user.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fusion/output_list.hpp"
#include "fusion/ranking.hpp"
#include "fusion/row.hpp"
#include "fusion/split.hpp"
#include "platform/memory.hpp"
#include "vecrecall/merge.hpp"

namespace vecrecall::fusion {

// The buffers that a thread keeps from user to user.
struct Workspace {
    explicit Workspace(const MergeFilters& filters) : output(filters) {}

    Row row;
    OutputList output;
    Ranking ranking;
    std::vector<double> terms;                 // score policies: by rank in the channel at hand
    std::vector<float> finite;                 // ... scores of one with infinities
    std::uint64_t negative = 0;                // ... bits of channels, as in MergeOut
    Buffer<double> sums;                       // ... and by entry
    Buffer<float> scores;                      // rounded, by entry
    std::vector<std::size_t> cursors;          // other policies: by channel
    std::vector<std::uint8_t> source_channel;  // Quota: by entry
    std::vector<std::uint32_t> order;          // Quota: the final one
    std::vector<Portion> portions;             // Quota: by channel
    std::vector<std::int64_t> charged;         // Quota: items taken, by channel
    std::vector<std::int32_t> ranks;           // provenance: by place in the list and channel
    std::vector<float> channel_scores;
    std::span<std::int32_t> unfilled;  // by channel; zeros at first
};

// A policy with what it needs for a whole batch.

struct RankTerms {
    RankTerms(const Rrf& policy, const std::vector<Channel>& channels);
    std::vector<std::vector<double>> terms;  // by weight and rank
    std::vector<std::size_t> of_channel;     // which of them; most often all weigh the same
};

struct QuotaPlan {
    QuotaPlan(const Quota& policy, std::size_t k);
    std::vector<Portion> portions;  // the first split
    std::vector<std::int64_t> maximum;
};

// Each fills work.output; those that rank by score leave it in work.scores.
void pick(const RankTerms& policy, Workspace& work);
void pick(const WeightedSum& policy, Workspace& work);
void pick(const Maximum& policy, Workspace& work);
void pick(const Interleave& policy, Workspace& work);
void pick(const Priority& policy, Workspace& work);
void pick(const QuotaPlan& policy, Workspace& work);

}  // namespace vecrecall::fusion
