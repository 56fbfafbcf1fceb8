#include "search/exhaustive.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <vector>

#include "platform/canceling.hpp"
#include "search/reranker.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall::search {
namespace {

// An exact score of a row somewhere costs about 40 ns; an item of an int8 scan at batch 256 1/3 ns.
constexpr std::size_t kAllowedShare = 128;

// Selection and reranking of so many candidates cost as much as scoring all.
constexpr std::size_t kListShare = 8;

// Scored items that are kept before all but the k best are dropped.
constexpr std::size_t kChunk = 4096;

std::size_t count_bits(const std::uint64_t* words, std::size_t n) {
    std::size_t count = 0;
    for (std::size_t w = 0; w < n; ++w) count += static_cast<std::size_t>(std::popcount(words[w]));
    return count;
}

class ExhaustiveScorer {
  public:
    ExhaustiveScorer(const SearchContext& context, std::size_t q) : context_(context), q_(q) {}

    std::size_t run(const ListsOut& out) {
        const std::uint64_t* live = live_bits();
        for (std::size_t w = 0; w < context_.items.live().size(); ++w) {
            canceling::check_each(w);
            for (std::uint64_t bits = live[w]; bits != 0; bits &= bits - 1) {
                const auto bit = static_cast<std::size_t>(std::countr_zero(bits));
                rows_.push_back(static_cast<std::uint32_t>(w * kernels::kWordItems + bit));
            }
            if (rows_.size() >= kChunk) score();
        }
        score();
        write_best(context_, q_, scored_, out);
        return seen_;
    }

  private:
    const std::uint64_t* live_bits() {
        const std::uint64_t* shared = context_.live(q_);
        const std::vector<std::uint32_t>& excluded = context_.queries[q_].excluded;
        if (excluded.empty()) return shared;
        own_live_.assign(shared, shared + context_.items.live().size());
        for (const std::uint32_t row : excluded) {
            own_live_[row / kernels::kWordItems] &=
                ~(std::uint64_t{1} << row % kernels::kWordItems);
        }
        return own_live_.data();
    }

    void score() {
        check_cancelled();
        seen_ += rows_.size();
        std::vector<float> scores(rows_.size());
        context_.score(q_, rows_.data(), rows_.size(), scores.data());
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            scored_.push_back({scores[i], context_.items.id(rows_[i])});
        }
        rows_.clear();
        const std::size_t k = context_.options.k;
        if (scored_.size() > std::max(4 * k, kChunk)) keep_best(scored_, k);
    }

    const SearchContext& context_;
    std::size_t q_;
    Bitmap own_live_;
    std::vector<std::uint32_t> rows_;
    std::vector<Scored> scored_;
    std::size_t seen_ = 0;
};

}  // namespace

bool exhaustive_is_cheaper(const SearchContext& context) {
    const std::size_t n = context.items.size();
    if (context.options.k >= n / kListShare) return true;
    if (context.allow == nullptr) return false;
    const std::uint64_t* counted = nullptr;
    for (std::size_t q = 0; q < context.queries.size(); ++q) {
        const std::uint64_t* live = context.live(q);
        if (live == counted) continue;
        check_cancelled();
        if (count_bits(live, context.items.live().size()) > n / kAllowedShare) return false;
        counted = live;
    }
    return true;
}

std::size_t exhaustive(const SearchContext& context, std::size_t q, const ListsOut& out) {
    return ExhaustiveScorer(context, q).run(out);
}

SearchStats exhaustive(const SearchContext& context, int threads, const ListsOut& out) {
    std::atomic<std::uint64_t> scored{0};
    parallel_for(context.queries.size(), threads,
                 [&](std::size_t q) { scored += ExhaustiveScorer(context, q).run(out); });
    return {.items_scanned = 0, .rows_reranked = scored.load(), .precision = "none"};
}

}  // namespace vecrecall::search
