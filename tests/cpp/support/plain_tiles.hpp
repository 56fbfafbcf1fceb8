// The matrix unit of x86 in plain C++: what its instructions do, by the shapes that were loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "kernels/tiles.hpp"

namespace test {

class TileFile {
  public:
    using Shapes = vecrecall::kernels::TileShapes;

    // Throws where the processor would: a palette or shape that it does not have.
    void configure(const Shapes& shapes) {
        if (shapes.palette == 0) return release();
        bool right = shapes.palette == 1;
        for (std::size_t t = 0; t < 16; ++t) {
            const bool unused = shapes.rows[t] == 0 && shapes.row_bytes[t] == 0;
            const bool used = t < kTiles && shapes.rows[t] >= 1 && shapes.rows[t] <= 16 &&
                              shapes.row_bytes[t] >= 1 && shapes.row_bytes[t] <= 64;
            right = right && (unused || used);
        }
        if (!right) throw std::logic_error("tiles: no such shapes");
        shapes_ = shapes;
        std::memset(bytes_, 0, sizeof(bytes_));
    }
    void release() {
        shapes_ = {};
        std::memset(bytes_, 0, sizeof(bytes_));
    }
    const Shapes& shapes() const { return shapes_; }

    void zero(int t) {
        check(t);
        std::memset(bytes_[t], 0, sizeof(bytes_[t]));
    }
    void load(int t, const void* from, std::size_t stride) {
        zero(t);
        for (std::size_t r = 0; r < shapes_.rows[t]; ++r) {
            std::memcpy(bytes_[t][r], static_cast<const char*>(from) + r * stride,
                        shapes_.row_bytes[t]);
        }
    }
    void store(int t, void* to, std::size_t stride) const {
        check(t);
        for (std::size_t r = 0; r < shapes_.rows[t]; ++r) {
            std::memcpy(static_cast<char*>(to) + r * stride, bytes_[t][r], shapes_.row_bytes[t]);
        }
    }
    // Sums wrap.
    void multiply(int sums, int a, int b) {
        for (const int t : {sums, a, b}) check(t);
        const bool fits = shapes_.rows[sums] == shapes_.rows[a] &&
                          shapes_.row_bytes[sums] == shapes_.row_bytes[b] &&
                          shapes_.row_bytes[a] == 4 * shapes_.rows[b];
        if (!fits) throw std::logic_error("tiles: shapes that do not fit");
        for (std::size_t r = 0; r < shapes_.rows[a]; ++r) {
            std::uint32_t row[16];
            std::memcpy(row, bytes_[sums][r], sizeof(row));
            for (std::size_t q = 0; q < shapes_.rows[b]; ++q) {
                add_quad(bytes_[a][r] + 4 * q, bytes_[b][q], shapes_.row_bytes[b] / 4, row);
            }
            std::memcpy(bytes_[sums][r], row, shapes_.row_bytes[sums]);
        }
    }

  private:
    static constexpr int kTiles = 8;

    void check(int t) const {
        if (shapes_.palette != 1 || t >= kTiles || shapes_.rows[t] == 0) {
            throw std::logic_error("tiles: a tile without a shape");
        }
    }
    static void add_quad(const std::uint8_t* a, const std::uint8_t* b, std::size_t columns,
                         std::uint32_t* row) {
        for (std::size_t j = 0; j < columns; ++j) {
            for (std::size_t i = 0; i < 4; ++i) {
                row[j] += static_cast<std::uint32_t>(static_cast<std::int8_t>(a[i]) * b[4 * j + i]);
            }
        }
    }

    Shapes shapes_{};
    std::uint8_t bytes_[kTiles][16][64] = {};
};

// As the kernels take tiles.
class PlainTiles {
  public:
    PlainTiles() { file_.configure(vecrecall::kernels::kWholeTiles); }

    template <int t>
    void zero() {
        file_.zero(t);
    }
    template <int t>
    void load(const void* from, std::size_t stride) {
        file_.load(t, from, stride);
    }
    template <int t>
    void store(void* to, std::size_t stride) const {
        file_.store(t, to, stride);
    }
    template <int sums, int a, int b>
    void multiply() {
        file_.multiply(sums, a, b);
    }

  private:
    TileFile file_;
};

}  // namespace test
