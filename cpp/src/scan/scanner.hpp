// A group of queries that is answered together, and one thread's scan of it.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "scan/candidates.hpp"
#include "scan/job.hpp"
#include "scan/stepper.hpp"

namespace vecrecall::scan {

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

    Group(std::size_t first_query, std::size_t count, float threshold);

    void raise(std::size_t q, float threshold);
};

// Which precisions a scan went through.
struct Precisions {
    bool int8 = false;
    bool float32 = false;
};

class Scanner {
  public:
    Scanner(const Job& job, Group& group, const Limits& limits);

    // Scans blocks until none are left.
    void run();

    const Candidates& candidates(std::size_t q) const { return candidates_[q]; }
    std::uint64_t items_scanned() const { return items_scanned_; }
    Precisions precisions() const { return precisions_; }

  private:
    void choose_stepper(std::size_t block);
    bool out_of_reach() const;
    void scan_block(std::size_t block);
    void scan_step(std::size_t first, std::size_t n);
    void take_in();
    void tighten(std::size_t q);
    void make_exact(std::size_t q);
    bool early() const;
    bool codes_fail() const;
    void give_up_codes();

    const Job& job_;
    Group& group_;
    const Limits& limits_;
    Buffer<kernels::Hit> hits_;
    Buffer<Interval> intervals_;
    std::vector<Candidates> candidates_;
    Step step_;
    std::unique_ptr<Stepper> codes_;   // null where there are none, or once they are given up
    std::unique_ptr<Stepper> floats_;  // made when first needed
    Stepper* stepper_ = nullptr;       // of the block at hand
    std::vector<float> scratch_;
    std::size_t step_items_;        // grows while the thresholds settle
    std::size_t longest_step_ = 0;  // of the stepper
    std::vector<std::size_t> blocks_done_;
    std::size_t stuck_ = 0;   // queries whose early candidates the codes could not tell apart
    bool giving_up_ = false;  // the codes, at once

    std::uint64_t items_scanned_ = 0;
    std::uint64_t coded_items_ = 0;  // of these, by the codes
    std::uint64_t hits_seen_ = 0;    // since the thresholds settled
    Precisions precisions_;
};

}  // namespace vecrecall::scan
