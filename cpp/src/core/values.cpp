#include "vecrecall/values.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "core/finite.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

constexpr std::size_t kRowsPerTask = 4096;

std::size_t tasks_for(std::size_t rows) { return (rows + kRowsPerTask - 1) / kRowsPerTask; }

template <class Test>
void test_rows(const RowsView& m, std::uint8_t* out, int threads, Test test) {
    parallel_for(tasks_for(m.rows), threads, [&](std::size_t task) {
        const std::size_t first = task * kRowsPerTask;
        for (std::size_t r = first; r < std::min(m.rows, first + kRowsPerTask); ++r) {
            out[r] = test(m.row(r), m.dim) ? 1 : 0;
        }
    });
}

void lower_to(std::atomic<std::int64_t>& smallest, std::int64_t row) {
    std::int64_t seen = smallest.load();
    while (row < seen && !smallest.compare_exchange_weak(seen, row)) {
    }
}

// The first row for which `bad` holds, looking at whole tasks with `any_bad` first.
template <class AnyBad, class Bad>
std::int64_t first_row(std::size_t rows, int threads, AnyBad any_bad, Bad bad) {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
    std::atomic<std::int64_t> smallest{kNone};
    parallel_for(tasks_for(rows), threads, [&](std::size_t task) {
        const std::size_t first = task * kRowsPerTask;
        const std::size_t end = std::min(rows, first + kRowsPerTask);
        if (!any_bad(first, end)) return;
        for (std::size_t r = first; r < end; ++r) {
            if (bad(r)) {
                lower_to(smallest, static_cast<std::int64_t>(r));
                return;
            }
        }
    });
    return smallest.load() == kNone ? -1 : smallest.load();
}

}  // namespace

std::int64_t first_nonfinite_row(const RowsView& m, int threads) {
    return first_row(
        m.rows, threads,
        [&](std::size_t first, std::size_t end) {
            return !all_finite(m.row(first), (end - first) * m.dim);
        },
        [&](std::size_t r) { return !all_finite(m.row(r), m.dim); });
}

std::int64_t first_zero_row(const RowsView& m, int threads) {
    return first_row(
        m.rows, threads, [](std::size_t, std::size_t) { return true; },
        [&](std::size_t r) { return all_zero(m.row(r), m.dim); });
}

void finite_rows(const RowsView& m, std::uint8_t* out, int threads) {
    test_rows(m, out, threads, all_finite);
}

void zero_rows(const RowsView& m, std::uint8_t* out, int threads) {
    test_rows(m, out, threads, all_zero);
}

std::int64_t narrow(const double* wide, std::size_t rows, std::size_t dim, float* out,
                    int threads) {
    const auto overflows = [&](std::size_t first, std::size_t end) {
        bool any = false;
        for (std::size_t i = first * dim; i < end * dim; ++i) {
            out[i] = static_cast<float>(wide[i]);
            any = any || (std::isinf(out[i]) && std::isfinite(wide[i]));
        }
        return any;
    };
    return first_row(rows, threads, overflows, [&](std::size_t r) { return overflows(r, r + 1); });
}

}  // namespace vecrecall
