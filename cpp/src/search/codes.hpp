// The items as int8, which the scan reads instead of the rows.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "platform/memory.hpp"

namespace vecrecall::search {

class Segment;

// Kernels take items by whole words of liveness bits.
inline std::size_t whole_words(std::size_t items) {
    return (items + kernels::kWordItems - 1) / kernels::kWordItems * kernels::kWordItems;
}

// Codes are step * c; all are upper bounds over a block.
struct CodeStats {
    double step;  // positive, never subnormal
    double inverse_step;
    double code_length;   // max |step * c|
    double error_length;  // max |r - step * c|
};

// Rows in blocks, blocks in panels of 16 items, as the kernels read them; see ScanI8.
class Codes {
  public:
    // Up to here a sum of d products 255 * 127 fits 32 bits.
    static bool possible(std::size_t dim) { return dim <= 65536; }

    Codes() = default;
    Codes(const Segment& items, int threads);
    // Made before, for these items; the codes are borrowed.
    Codes(const Segment& items, const std::uint8_t* codes, std::vector<CodeStats> stats);
    // Bytes for rows of this width with so many slots.
    static std::size_t bytes(std::size_t slots, std::size_t dim) {
        return checked_product(slots, (dim + 3) / 4 * 4);
    }

    bool empty() const { return stats_.empty(); }
    const CodeStats& stats(std::size_t block) const { return stats_[block]; }
    // Codes that miss more than this miss far more than those of most blocks, for the sake of a few
    // huge values.
    double outlier_error() const { return outlier_error_; }
    // The panels from a slot on; the slot begins a panel.
    const std::uint8_t* from_slot(std::size_t slot) const { return codes_ + slot * quads_ * 4; }

  private:
    void measure(const Segment& items);
    void quantize(const kernels::KernelTable& table, const Segment& items, std::size_t block);

    std::size_t quads_ = 0;
    Buffer<std::uint8_t> own_codes_;
    const std::uint8_t* codes_ = nullptr;
    std::vector<CodeStats> stats_;
    double outlier_error_ = 0;
};

}  // namespace vecrecall::search
