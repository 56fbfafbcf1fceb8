// The policies that give every item a score.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "fusion/policies.hpp"
#include "fusion/rounding.hpp"
#include "platform/canceling.hpp"

namespace vecrecall::fusion {
namespace {

// (s - shift) / divisor, or the same value for every score.
struct Scale {
    double shift = 0;
    double divisor = 1;
    double flat_value = 0;

    bool flat() const { return divisor == 0; }
};

Scale min_max(std::span<const float> scores) {
    const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
    return {.shift = *low, .divisor = double{*high} - double{*low}, .flat_value = 1};
}

// Sums from left to right: the order is part of the definition.
Scale z_score(std::span<const float> scores) {
    const auto n = static_cast<double>(scores.size());
    double sum = 0;
    for (const float s : scores) sum += s;
    const double mean = sum / n;
    double squares = 0;
    for (const float s : scores) squares += (s - mean) * (s - mean);
    return {.shift = mean, .divisor = std::sqrt(squares / n)};
}

Scale largest(std::span<const float> scores) {
    float most = 0;
    for (const float s : scores) most = std::max(most, std::fabs(s));
    return {.divisor = most};
}

Scale length(std::span<const float> scores) {
    double squares = 0;
    for (const float s : scores) squares += double{s} * double{s};
    return {.divisor = std::sqrt(squares)};
}

Scale scale_of(std::span<const float> scores, Normalize how) {
    if (scores.empty()) return {};
    switch (how) {
        case Normalize::kMinMax: return min_max(scores);
        case Normalize::kZScore: return z_score(scores);
        case Normalize::kMax: return largest(scores);
        case Normalize::kL2: return length(scores);
        case Normalize::kNone: break;
    }
    return {};
}

bool any_negative(std::span<const float> scores) {
    std::int32_t any = 0;  // as wide as a score: such loops become vector code
    for (const float s : scores) any |= s < 0 ? 1 : 0;
    return any != 0;
}

// The values of infinite scores of a list: one spread of its finite scores beyond these; where
// they are all equal, their size, at least 1. They order as in a search then, and a normalization
// still tells the others apart.
struct FiniteRange {
    float low;
    float high;

    explicit FiniteRange(std::span<const float> scores) {
        double least = std::numeric_limits<double>::infinity();
        double most = -least;
        for (const float s : scores) {
            if (!std::isfinite(s)) continue;
            least = std::min(least, double{s});
            most = std::max(most, double{s});
        }
        if (least > most) least = most = 0;
        const double spread = most > least ? most - least : std::max(1.0, std::abs(most));
        low = within_float(least - spread);
        high = within_float(most + spread);
    }

    static float within_float(double x) {
        constexpr double kMost = std::numeric_limits<float>::max();
        return static_cast<float>(std::clamp(x, -kMost, kMost));
    }
};

// A channel's scores, infinite ones replaced: no operation of a normalization leaves the range of
// float64 then.
std::span<const float> finite_scores(std::size_t c, Workspace& work) {
    const std::span<const float> scores = work.row.scores(c);
    if (!work.row.infinite(c)) return scores;
    const FiniteRange range(scores);
    work.finite.resize(scores.size());
    std::transform(scores.begin(), scores.end(), work.finite.begin(),
                   [&](float s) { return std::clamp(s, range.low, range.high); });
    return work.finite;
}

// w times the normalized scores of a channel, by rank.
void weigh(std::span<const float> scores, Normalize how, double weight,
           std::vector<double>& terms) {
    if (terms.size() < scores.size()) terms.resize(scores.size());
    const Scale scale = scale_of(scores, how);
    if (scale.flat()) {
        std::fill_n(terms.data(), scores.size(), weight * scale.flat_value);
    } else if (how == Normalize::kNone) {
        for (std::size_t i = 0; i < scores.size(); ++i) terms[i] = weight * scores[i];
    } else {
        for (std::size_t i = 0; i < scores.size(); ++i) {
            terms[i] = weight * ((scores[i] - scale.shift) / scale.divisor);
        }
    }
}

// The terms of a channel by rank, and the one of items that it does not hold, if they have any.
struct Terms {
    const double* held;
    std::optional<double> absent;
};

// Min-max leaves no score negative, whatever the list.
template <class P>
Terms terms_of(const P& policy, std::size_t c, Workspace& work) {
    const std::span<const float> scores = finite_scores(c, work);
    weigh(scores, policy.normalize, policy.weights[c], work.terms);
    const bool sinks = policy.absent != Absent::kMin && policy.normalize != Normalize::kMinMax &&
                       any_negative(work.row.scores(c));
    if (policy.absent == Absent::kZero) {
        if (sinks) work.negative |= std::uint64_t{1} << c;
        return {work.terms.data(), 0.0};
    }
    const bool lowest = policy.absent == Absent::kMin || (P::kNegativeSinks && sinks);
    if (scores.empty() || !lowest) return {work.terms.data(), {}};
    const auto end = work.terms.begin() + static_cast<std::ptrdiff_t>(scores.size());
    return {work.terms.data(), *std::min_element(work.terms.begin(), end)};
}

struct Sum {
    static constexpr double kInit = 0;
    static double combine(double a, double b) { return a + b; }
};

struct Largest {
    static constexpr double kInit = -std::numeric_limits<double>::infinity();
    static double combine(double a, double b) { return std::max(a, b); }
};

// Every item's terms combined in channel order. terms(c) are those of channel c.
template <class Op, class Of>
void combine(const Of& terms, Workspace& work) {
    const std::size_t n = work.row.n_entries();
    double* const sums = at_least(work.sums, n);
    canceling::fill(sums, n, double{Op::kInit});
    for (std::size_t c = 0; c < work.row.n_channels(); ++c) {
        const std::span<const std::uint32_t> entries = work.row.entries(c);
        canceling::check_after(entries.size());
        const Terms term = terms(c);
        for (std::size_t r = 0; r < entries.size(); ++r) {
            sums[entries[r]] = Op::combine(sums[entries[r]], term.held[r]);
        }
        if (!term.absent) continue;
        for (std::uint32_t e = 0; e < n; ++e) {
            const bool held = (work.row.channels_of(e) >> c & 1) != 0;
            if (!held) sums[e] = Op::combine(sums[e], *term.absent);
        }
    }
    canceling::check_after(n);
    float* const scores = at_least(work.scores, n);
    for (std::size_t from = 0; from < n; from += canceling::kSteps) {
        canceling::check_each(from);
        const std::size_t end = std::min(n, from + canceling::kSteps);
        for (std::size_t e = from; e < end; ++e) scores[e] = rounded(sums[e]);  // vector code
    }
}

// Takes items by score until the list is full. Caps may refuse any of them.
void take_best(Workspace& work) {
    const std::size_t n = work.row.n_entries();
    const std::size_t enough =
        work.output.capped() ? n : std::min(n, work.output.room() + work.output.n_excluded());
    const std::span<const std::uint32_t> order =
        work.ranking.best(work.scores.data(), n, enough, work.row.ids());
    for (const std::uint32_t entry : order) {
        if (work.output.room() == 0) break;
        if (work.output.usable(entry)) work.output.take(entry);
    }
}

template <class Op, class P>
void fuse_scores(const P& policy, Workspace& work) {
    combine<Op>([&](std::size_t c) { return terms_of(policy, c, work); }, work);
    take_best(work);
}

}  // namespace

RankTerms::RankTerms(const Rrf& policy, const std::vector<Channel>& channels) {
    std::vector<double> weights;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        std::size_t longest = 0;
        for (std::size_t r = 0; r < channels[c].rows; ++r) {
            longest = std::max(longest, channels[c].length(r));
        }
        const double weight = policy.weights[c];
        const auto same = std::find(weights.begin(), weights.end(), weight) - weights.begin();
        of_channel.push_back(static_cast<std::size_t>(same));
        if (of_channel.back() == weights.size()) {
            weights.push_back(weight);
            terms.emplace_back();
        }
        std::vector<double>& of_weight = terms[of_channel.back()];
        of_weight.reserve(longest);
        while (of_weight.size() < longest) {
            canceling::check_each(of_weight.size());
            of_weight.push_back(weight / (policy.k + static_cast<double>(of_weight.size() + 1)));
        }
    }
}

void pick(const RankTerms& policy, Workspace& work) {
    const auto terms = [&](std::size_t c) {
        return Terms{policy.terms[policy.of_channel[c]].data(), {}};
    };
    combine<Sum>(terms, work);
    take_best(work);
}

void pick(const WeightedSum& policy, Workspace& work) { fuse_scores<Sum>(policy, work); }

void pick(const Maximum& policy, Workspace& work) { fuse_scores<Largest>(policy, work); }

}  // namespace vecrecall::fusion
