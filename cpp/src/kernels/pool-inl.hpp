// Bags of table rows combined with the accumulators kept in registers, eight dimensions a vector.
#pragma once

#include "kernels/eight_lanes.hpp"
#include "kernels/half.hpp"

namespace vecrecall::kernels {
namespace {

// Early enough to hide a memory access and the walk to its page. Into the second level alone: to
// fetch into the first as well takes more instructions than it saves.
constexpr std::size_t kEntriesAhead = 48;

// How many lines a row touches at most, as far as they are fetched: no more than a page. Rows begin
// at multiples of `step` from the first.
template <class T>
VR_INLINE std::size_t lines_of_row(const T* table, std::size_t dim) {
    constexpr std::size_t kLine = 64;
    const std::size_t bytes = dim * sizeof(T);
    const std::size_t power = bytes & (0 - bytes);
    const std::size_t step = power < kLine ? power : kLine;
    const std::size_t start = reinterpret_cast<std::uintptr_t>(table) % step + kLine - step;
    const std::size_t lines = (start + bytes + kLine - 1) / kLine;
    return lines < 64 ? lines : 64;
}

// A row touches as many lines as are given, or one less.
template <class T>
VR_INLINE void fetch(const PoolBag& a, const T* table, std::size_t entry, std::size_t lines) {
    constexpr std::size_t kInLine = 64 / sizeof(T);
    if (entry >= a.n_entries || a.entries[entry] < 0) return;
    const T* row = table + static_cast<std::size_t>(a.entries[entry]) * a.dim;
    for (std::size_t l = 0; l + 1 < lines; ++l) __builtin_prefetch(row + kInLine * l, 0, 2);
    __builtin_prefetch(row + (kInLine * lines < a.dim ? kInLine * lines : a.dim) - 1, 0, 2);
}

// Eight values at p, or as many as there are with zeros behind.
template <class S, bool kShort, class T>
VR_INLINE f32x8 load8(const T* p, std::size_t count) {
    if constexpr (kShort) return floats8_tail<S>(p, count);
    else return S::floats8(p);
}

// Eight doubles of what went before, or as many as there are with zeros behind.
template <bool kShort>
VR_INLINE f64x8 load_before(const PoolBag& a, std::size_t from) {
    if constexpr (!kShort) return doubles_at(a.before + from);
    double padded[8] = {};
    for (std::size_t j = 0; j < a.dim; ++j) padded[j] = a.before[j];
    return doubles_at(padded);
}

// In float64. A sum of finite numbers that is not finite is told by its value times 0.
template <class S, bool kWeighted>
struct Add {
    using Vector = f64x8;
    static constexpr int kVectors = S::kPoolVectors;

    template <bool kShort, class T>
    VR_INLINE Vector first(const PoolBag& a, const T*, std::size_t from) {
        return a.before ? load_before<kShort>(a, from) : Vector{};
    }
    template <bool kShort, class T>
    VR_INLINE void step(Vector& sum, Vector&, const PoolBag& a, std::size_t i, const T* p) {
        const f64x8 x = kShort ? widen_tail<S>(p, a.dim) : widen8<S>(p);
        if constexpr (kWeighted) sum += x * a.weights[i];
        else sum += x;
    }
    VR_INLINE Vector check(Vector sum, Vector) { return sum * 0.0; }
};

// The largest, of equal ones the first. It may hide what is not finite: each value times 0 is kept.
template <class S>
struct Largest {
    using Vector = f32x8;
    static constexpr int kVectors = S::kPoolVectors;

    template <bool kShort, class T>
    VR_INLINE Vector first(const PoolBag& a, const T* table, std::size_t from) {
        if (a.before) return to_floats(load_before<kShort>(a, from));
        if (a.n_rows == 0) return Vector{};
        return load8<S, kShort>(table + static_cast<std::size_t>(a.rows[0]) * a.dim + from, a.dim);
    }
    template <bool kShort, class T>
    VR_INLINE void step(Vector& most, Vector& zero, const PoolBag& a, std::size_t, const T* p) {
        const f32x8 x = load8<S, kShort>(p, a.dim);
        most = larger(x, most);
        zero += x * 0.0F;
    }
    VR_INLINE Vector check(Vector, Vector zero) { return zero; }
};

// Rounded, and as they are, where that is wanted.
template <bool kShort, class V>
VR_INLINE void store_pooled(const PoolBag& a, std::size_t from, V value) {
    const f32x8 narrow = to_floats(value);
    const f64x8 wide = to_doubles(value);
    if constexpr (!kShort) {
        if (a.out) store(a.out + from, narrow);
        if (a.sums) store(a.sums + from, wide);
        return;
    }
    float out[8];
    double sums[8];
    store(out, narrow);
    store(sums, wide);
    for (std::size_t j = 0; j < a.dim; ++j) {
        if (a.out) a.out[j] = out[j];
        if (a.sums) a.sums[j] = sums[j];
    }
}

// Some dimensions of all rows. Returns whether all was finite.
template <class Op, int kVectors, bool kShort, class T>
VR_INLINE bool pool_strip(const PoolBag& a, const T* table, std::size_t from) {
    using V = typename Op::Vector;
    const std::size_t lines = lines_of_row(table, a.dim);
    V acc[kVectors];
    V zero[kVectors] = {};
    VR_UNROLL
    for (int v = 0; v < kVectors; ++v) acc[v] = Op::template first<kShort>(a, table, from + 8 * v);
    for (std::size_t i = 0; i < a.n_rows; ++i) {
        if (from == 0) fetch(a, table, i + kEntriesAhead, lines);
        const T* row = table + static_cast<std::size_t>(a.rows[i]) * a.dim + from;
        VR_UNROLL
        for (int v = 0; v < kVectors; ++v) {
            Op::template step<kShort>(acc[v], zero[v], a, i, row + 8 * v);
        }
    }
    V seen = {};
    VR_UNROLL
    for (int v = 0; v < kVectors; ++v) {
        seen += Op::check(acc[v], zero[v]);
        store_pooled<kShort>(a, from + 8 * v, acc[v]);
    }
    return reduce8(to_doubles(seen)) == 0;
}

template <class Op, class T, int kVectors = Op::kVectors>
VR_INLINE bool pool_strip_of(const PoolBag& a, const T* table, std::size_t vectors,
                             std::size_t from) {
    if constexpr (kVectors > 1) {
        if (vectors < kVectors) return pool_strip_of<Op, T, kVectors / 2>(a, table, vectors, from);
    }
    return pool_strip<Op, kVectors, false>(a, table, from);
}

// Strips as wide as they can be. The last ends where the row does and may repeat what is before it,
// so that only rows of less than a vector are taken apart.
template <class Op, class T>
bool pool_rows(const PoolBag& a, const T* table) {
    if (a.dim < 8) return pool_strip<Op, 1, true>(a, table, 0);
    std::size_t vectors = Op::kVectors;
    while (8 * vectors > a.dim) vectors /= 2;
    bool finite = true;
    std::size_t from = 0;
    for (; from + 8 * vectors <= a.dim; from += 8 * vectors) {
        finite &= pool_strip_of<Op>(a, table, vectors, from);
    }
    if (from == a.dim) return finite;
    while (vectors > 1 && 4 * vectors >= a.dim - from) vectors /= 2;
    return pool_strip_of<Op>(a, table, vectors, a.dim - 8 * vectors) && finite;
}

template <class Op>
VR_INLINE bool pool_bag(const PoolBag& a) {
    return by_type(a.table, [&](const auto* table) { return pool_rows<Op>(a, table); });
}

template <class S>
bool pool_sum(const PoolBag& a) {
    return a.weights ? pool_bag<Add<S, true>>(a) : pool_bag<Add<S, false>>(a);
}

template <class S>
bool pool_max(const PoolBag& a) {
    return pool_bag<Largest<S>>(a);
}

}  // namespace
}  // namespace vecrecall::kernels
