// float32 and float64 to half precision, with what gets lost.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/half.hpp"
#include "vecrecall/parallel.hpp"
#include "vecrecall/values.hpp"

namespace vecrecall {
namespace {

using kernels::BFloat16;
using kernels::Float16;

constexpr std::size_t kRowsPerTask = 4096;

constexpr std::uint32_t kInfinity = 0x7F800000;
constexpr std::uint32_t kBeyondFloat16 = 0x477FF000;     // 65520, as near to 2^16 as to 65504
constexpr std::uint32_t kSmallestNormal16 = 0x38800000;  // 2^-14
constexpr std::uint32_t kHalfOfSmallest16 = 0x33000000;  // 2^-25
constexpr std::uint32_t kMissingExponent = 112U << 23;   // 127 - 15

// x / 2^shift, of two integers as near the even one.
constexpr std::uint32_t shift_to_even(std::uint32_t x, unsigned shift) {
    return (x + (1U << (shift - 1)) - 1 + (x >> shift & 1)) >> shift;
}

// Of a float32 without its sign.
std::uint32_t float16_size(std::uint32_t size) {
    if (size > kInfinity) return 0x7E00 | (size >> 13 & 0x1FF);  // a quiet NaN
    if (size >= kBeyondFloat16) return 0x7C00;
    if (size >= kSmallestNormal16) return shift_to_even(size - kMissingExponent, 13);
    if (size <= kHalfOfSmallest16) return 0;
    // A denormal: so many times 2^-24.
    return shift_to_even((size & 0x7FFFFF) | 0x800000, 126 - (size >> 23));
}

std::uint32_t bfloat16_size(std::uint32_t size) {
    if (size > kInfinity) return 0x7FC0 | size >> 16;
    return shift_to_even(size, 16);
}

template <class Half>
Half rounded(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t size = bits & 0x7FFFFFFF;
    std::uint32_t half = 0;
    if constexpr (std::is_same_v<Half, Float16>) half = float16_size(size);
    else half = bfloat16_size(size);
    return {static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000))};
}

// The nearest float32 that is not the larger in size, and odd where it is another number: rounded
// to a type of at least two bits less, it gives what the float64 gives (Boldo and Melquiond, 2008).
float to_odd(double x) {
    const auto near = static_cast<float>(x);
    if (std::isnan(x) || static_cast<double>(near) == x) return near;
    auto bits = std::bit_cast<std::uint32_t>(near);
    if (std::fabs(static_cast<double>(near)) > std::fabs(x)) --bits;  // infinity too
    return std::bit_cast<float>(bits | 1);
}

template <class Half>
Half rounded(double x) {
    return rounded<Half>(to_odd(x));
}

// Of a run of values.
struct Loss {
    double largest = 0;
    double sum = 0;
    std::size_t n = 0;
    bool overflows = false;

    template <class Wide>
    void count(Wide x, float kept) {
        if (!std::isfinite(x) || x == 0) return;
        if (std::isinf(kept)) {
            overflows = true;
            return;
        }
        const double lost = std::fabs((static_cast<double>(kept) - x) / x);
        largest = std::max(largest, lost);
        sum += lost;
        ++n;
    }
    void add(const Loss& other) {
        largest = std::max(largest, other.largest);
        sum += other.sum;
        n += other.n;
    }
};

// Rows first .. end - 1; stops behind the first that overflows, and returns it, or -1.
template <class Half, class Wide>
std::int64_t round_run(const Wide* rows, std::size_t dim, std::size_t first, std::size_t end,
                       std::uint16_t* out, Loss& loss) {
    for (std::size_t r = first; r < end; ++r) {
        for (std::size_t i = r * dim; i < (r + 1) * dim; ++i) {
            const auto half = rounded<Half>(rows[i]);
            out[i] = half.bits;
            loss.count(rows[i], kernels::widened(half));
        }
        if (loss.overflows) return static_cast<std::int64_t>(r);
    }
    return -1;
}

template <class Wide>
RoundingLoss round_all(const Wide* rows, std::size_t n, std::size_t dim, RowType half,
                       std::uint16_t* out, int threads) {
    const std::size_t tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
    std::vector<Loss> losses(tasks);
    std::vector<std::int64_t> overflows(tasks, -1);
    parallel_for(tasks, threads, [&](std::size_t task) {
        const std::size_t first = task * kRowsPerTask;
        const std::size_t end = std::min(n, first + kRowsPerTask);
        const auto run =
            half == RowType::kFloat16 ? round_run<Float16, Wide> : round_run<BFloat16, Wide>;
        overflows[task] = run(rows, dim, first, end, out, losses[task]);
    });
    Loss all;
    for (const Loss& loss : losses) all.add(loss);
    const auto bad =
        std::find_if(overflows.begin(), overflows.end(), [](std::int64_t row) { return row >= 0; });
    return {.largest = all.largest,
            .mean = all.n == 0 ? 0.0 : all.sum / static_cast<double>(all.n),
            .overflow = bad == overflows.end() ? -1 : *bad};
}

}  // namespace

RoundingLoss round_rows(const MatrixView& rows, RowType half, std::uint16_t* out, int threads) {
    return round_all(rows.data, rows.rows, rows.dim, half, out, threads);
}

RoundingLoss round_rows(const double* rows, std::size_t n, std::size_t dim, RowType half,
                        std::uint16_t* out, int threads) {
    return round_all(rows, n, dim, half, out, threads);
}

}  // namespace vecrecall
