#include "scan/wave.hpp"

namespace vecrecall::scan {
namespace {

constexpr std::size_t kFirstStep = 4 * kernels::kWordItems;

// Packed panels of a step stay within a quarter of a megabyte of second-level cache.
constexpr std::size_t kPanelBytes = std::size_t{128} << 10;

// Packing a row costs as much as scanning it in place for so many queries.
constexpr std::size_t kQueriesByRows = 4;

std::size_t whole_words(std::size_t items) {
    return (items + kernels::kWordItems - 1) / kernels::kWordItems * kernels::kWordItems;
}

}  // namespace

// Soft: looking after every 2k new candidates keeps the hits of a whole scan near k ln(n/k) at a
// selection cost of a few comparisons a hit. Hard: the promise of bounded memory.
Limits limits_for(const Items& items, std::size_t k) {
    Limits limits{};
    const std::size_t bytes_an_item = sizeof(float) * std::max<std::size_t>(1, items.dim());
    limits.step =
        std::clamp(kPanelBytes / bytes_an_item / kernels::kWordItems * kernels::kWordItems,
                   kernels::kWordItems, kBlockItems);
    const std::size_t all = whole_words(items.size());
    limits.hard =
        k > all ? std::max<std::size_t>(4 * all, 4096) : std::max<std::size_t>(4 * k, 4096);
    limits.soft = std::min(limits.hard, std::max<std::size_t>(3 * std::min(k, all), 128));
    limits.room = std::min(limits.hard + limits.step, all);
    return limits;
}

void rescore(const Job& job, std::size_t q, const std::uint32_t* rows, std::size_t n,
             float* scores) {
    const Query& query = job.queries[q];
    score_rows(job.table, job.items.scored(), query.wide, query.length, rows, 0, n, scores);
}

Scanner::Scanner(const Job& job, Group& group, const Limits& limits)
    : job_(job),
      group_(group),
      limits_(limits),
      hits_(checked_product(group.n, limits.room)),
      intervals_(checked_product(group.n, limits.room)),
      lists_(group.n),
      certificates_(group.n),
      raw_thresholds_(group.n),
      live_(group.n),
      by_rows_(group.n <= kQueriesByRows),
      queries_(checked_product(group.n, padded_dim(job.items.dim()))),
      panels_(by_rows_ ? 0 : limits.step * job.items.dim()),
      offsets_(limits.step, 0.0F),
      step_(std::min(kFirstStep, limits.step)) {
    candidates_.reserve(group.n);
    for (std::size_t q = 0; q < group.n; ++q) {
        candidates_.emplace_back(hits_.data() + q * limits.room,
                                 intervals_.data() + q * limits.room, job.options.k, limits.soft,
                                 limits.hard, job.first_threshold);
    }
    pack_queries();
}

void Scanner::pack_queries() {
    const std::size_t dim = job_.items.dim();
    if (by_rows_) {
        std::fill_n(queries_.data(), queries_.size(), 0.0F);
        for (std::size_t q = 0; q < group_.n; ++q) {
            std::copy_n(job_.queries.scan_vector(group_.first + q), dim,
                        queries_.data() + q * padded_dim(dim));
        }
        return;
    }
    // Blocks of the kernel's width, dimension by dimension: what a register block reads is
    // adjacent.
    const std::size_t width = job_.table.f32_query_block;
    for (std::size_t q0 = 0; q0 < group_.n; q0 += width) {
        const std::size_t n = std::min(width, group_.n - q0);
        float* block = queries_.data() + q0 * dim;
        for (std::size_t q = 0; q < n; ++q) {
            const float* p = job_.queries.scan_vector(group_.first + q0 + q);
            for (std::size_t j = 0; j < dim; ++j) block[j * n + q] = p[j];
        }
    }
}

void Scanner::run() {
    for (std::size_t b = group_.next_block++; b < job_.items.blocks(); b = group_.next_block++) {
        scan_block(b);
    }
}

void Scanner::scan_block(std::size_t block) {
    for (std::size_t q = 0; q < group_.n; ++q) {
        certificates_[q] =
            certify_f32(job_.items, job_.items.stats(block), job_.queries[group_.first + q]);
    }
    const std::size_t end = std::min(job_.items.size(), (block + 1) * kBlockItems);
    for (std::size_t first = block * kBlockItems; first < end;) {
        const std::size_t n = std::min(step_, end - first);
        scan_step(first, n);
        first += n;
        step_ = std::min(2 * step_, limits_.step);
    }
}

void Scanner::scan_step(std::size_t first, std::size_t n) {
    set_thresholds();
    if (job_.items.offsets()) std::copy_n(job_.items.offsets() + first, n, offsets_.data());
    for (std::size_t q = 0; q < group_.n; ++q) {
        const std::size_t place = job_.queries[group_.first + q].place;
        const std::uint64_t* live =
            job_.options.allow ? job_.options.allow[place] : job_.items.live();
        live_[q] = live + first / kernels::kWordItems;
        lists_[q] = candidates_[q].list();
    }
    const kernels::Sieve sieve{.offsets = offsets_.data(),
                               .thresholds = raw_thresholds_.data(),
                               .live = live_.data(),
                               .first_row = static_cast<std::uint32_t>(first),
                               .hits = lists_.data()};
    if (by_rows_) scan_rows(first, n, sieve);
    else scan_panels(first, n, sieve);
    items_scanned_ += n * group_.n;
    take_in();
}

void Scanner::scan_rows(std::size_t first, std::size_t n, const kernels::Sieve& sieve) {
    const Items& items = job_.items;
    job_.table.scan_rows_f32({.rows = items.scored().rows.row(first),
                              .n_rows = n,
                              .dim = items.dim(),
                              .scales = items.scales() ? items.scales() + first : nullptr,
                              .centre = items.centre(),
                              .queries = queries_.data(),
                              .n_queries = group_.n,
                              .sieve = sieve});
}

void Scanner::scan_panels(std::size_t first, std::size_t n, const kernels::Sieve& sieve) {
    const Items& items = job_.items;
    const std::size_t n_panels = whole_words(n) / kernels::kPanelItems;
    job_.table.pack_f32({.rows = items.scored().rows.row(first),
                         .n_rows = n,
                         .dim = items.dim(),
                         .scales = items.scales() ? items.scales() + first : nullptr,
                         .centre = items.centre(),
                         .panels = panels_.data(),
                         .n_panels = n_panels});
    job_.table.scan_panels_f32({.panels = panels_.data(),
                                .n_panels = n_panels,
                                .dim = items.dim(),
                                .queries = queries_.data(),
                                .n_queries = group_.n,
                                .sieve = sieve});
}

void Scanner::set_thresholds() {
    for (std::size_t q = 0; q < group_.n; ++q) {
        candidates_[q].raise_threshold(group_.thresholds[q].load(std::memory_order_relaxed));
        raw_thresholds_[q] = certificates_[q].raw_threshold(candidates_[q].threshold());
    }
}

void Scanner::take_in() {
    for (std::size_t q = 0; q < group_.n; ++q) {
        Candidates& candidates = candidates_[q];
        if (lists_[q].count == candidates.size()) continue;
        const IdSet& excluded = job_.queries[group_.first + q].excluded;
        candidates.take_in(lists_[q].count, certificates_[q], [&](std::uint32_t row) {
            return excluded.empty() || !excluded.contains(job_.items.ids().id(row));
        });
        if (candidates.crowded()) tighten(q);
    }
}

void Scanner::tighten(std::size_t q) {
    candidates_[q].tighten([&](const std::uint32_t* rows, std::size_t n,
                               float* scores) { rescore(job_, group_.first + q, rows, n, scores); },
                           job_.items.ids(), scratch_);
    group_.raise(q, candidates_[q].threshold());
}

}  // namespace vecrecall::scan
