// A wave: the queries that are answered together, and the threads' work on them.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "memory.hpp"
#include "scan/candidates.hpp"
#include "scan/items.hpp"
#include "scan/query.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::scan {

// What a scan needs to know beside items and queries.
struct Job {
    const kernels::KernelTable& table;
    const Items& items;
    const QueryBatch& queries;
    const SearchOptions& options;
    float first_threshold;  // the smallest float32 score that min_score lets pass
};

// How many candidates a query may hold; see Candidates.
struct Limits {
    std::size_t soft;
    std::size_t hard;
    std::size_t step;  // most items between two looks at the buffers
    std::size_t room;  // hits a buffer must take
};

Limits limits_for(const Items& items, std::size_t k);

// Queries [first, first + n) of a batch against blocks that are claimed one at a time, so that
// several threads can share the work: each makes a Scanner of its own on the same Group.
struct Group {
    std::size_t first;
    std::size_t n;
    std::atomic<std::size_t> next_block{0};
    std::vector<std::atomic<float>> thresholds;  // per query, the best that any thread has proved

    Group(std::size_t first_query, std::size_t count, float threshold)
        : first(first_query), n(count), thresholds(count) {
        for (auto& t : thresholds) t.store(threshold, std::memory_order_relaxed);
    }

    void raise(std::size_t q, float threshold) {
        float seen = thresholds[q].load(std::memory_order_relaxed);
        while (seen < threshold && !thresholds[q].compare_exchange_weak(seen, threshold)) {
        }
    }
};

// One thread's scan of a group.
class Scanner {
  public:
    Scanner(const Job& job, Group& group, const Limits& limits);

    void run();

    const Candidates& candidates(std::size_t q) const { return candidates_[q]; }
    std::uint64_t items_scanned() const { return items_scanned_; }

  private:
    void pack_queries();
    void scan_block(std::size_t block);
    void scan_step(std::size_t first, std::size_t n);
    void scan_rows(std::size_t first, std::size_t n, const kernels::Sieve& sieve);
    void scan_panels(std::size_t first, std::size_t n, const kernels::Sieve& sieve);
    void set_thresholds();
    void take_in();
    void tighten(std::size_t q);

    const Job& job_;
    Group& group_;
    const Limits& limits_;
    Buffer<kernels::Hit> hits_;
    Buffer<Interval> intervals_;
    std::vector<Candidates> candidates_;
    std::vector<kernels::HitList> lists_;
    std::vector<Certificate> certificates_;  // of the block at hand
    std::vector<float> raw_thresholds_;
    std::vector<const std::uint64_t*> live_;
    bool by_rows_;  // few queries: rows in place, instead of panels
    Buffer<float> queries_;
    Buffer<float> panels_;
    std::vector<float> offsets_;
    std::vector<float> scratch_;
    std::size_t step_;  // grows while the thresholds settle
    std::uint64_t items_scanned_ = 0;
};

// Scores of rows for query q of the job's batch.
void rescore(const Job& job, std::size_t q, const std::uint32_t* rows, std::size_t n,
             float* scores);

}  // namespace vecrecall::scan
