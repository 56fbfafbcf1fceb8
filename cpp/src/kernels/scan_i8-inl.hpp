// The int8 scan: integer inner products fused with the threshold test.
#pragma once

#include "kernels/filter-inl.hpp"

namespace vecrecall::kernels {
namespace {

constexpr std::size_t kQuadBytes = kPanelItems * 4;  // of one panel and four dimensions

// The values that the threshold test compares.
enum class Test {
    kSums,     // against the thresholds
    kShifted,  // sums less thresholds: where any of a register block may pass, each of them
    kOffsets,  // scale * sum + offset
};

// Integer sums to hits.
template <class S, int kStride, Test kTest>
VR_INLINE void filter_sums(const ScanI8& a, const typename S::I32* sums, std::size_t first,
                           std::size_t query) {
    if constexpr (kTest == Test::kOffsets) {
        typename S::F32 values[kVecs<S>];
        const auto scale = S::set(a.scales[query]);
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) {
            values[v] = S::multiply_add(
                scale, __builtin_convertvector(sums[v * kStride], typename S::F32),
                load<typename S::F32>(a.threshold_filter.offsets + first + v * S::kLanes));
        }
        filter<S, 1>(a.threshold_filter, values, first, query);
    } else {
        filter<S, kStride>(a.threshold_filter, sums, first, query);
    }
}

// The sums of a register block that began lower by their thresholds. A hit is rare, so one branch
// looks for a sign bit that is clear in any of them.
template <class S, int Q>
VR_INLINE void filter_shifted(const ScanI8& a, typename S::I32 (&acc)[kVecs<S>][Q],
                              std::size_t first, std::size_t q0) {
    using V = typename S::I32;
    V below[Q];  // the sign is set where all vectors of the query are below
    VR_UNROLL
    for (int q = 0; q < Q; ++q) {
        below[q] = acc[0][q];
        VR_UNROLL
        for (int v = 1; v < kVecs<S>; ++v) below[q] &= acc[v][q];
    }
    V all = below[0];
    VR_UNROLL
    for (int q = 1; q < Q; ++q) all &= below[q];
    if (__builtin_expect(S::at_least(all, S::set(0)) == 0, 1)) return;
    VR_UNROLL
    for (int q = 0; q < Q; ++q) {
        if (S::at_least(below[q], S::set(0)) == 0) continue;
        const V threshold = S::set(a.threshold_filter.int_thresholds[q0 + q]);
        V sums[kVecs<S>];
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) sums[v] = acc[v][q] + threshold;
        filter<S, 1>(a.threshold_filter, sums, first, q0 + q);
    }
}

// One register block: kGroup items, whose panels begin at `codes`, against Q queries. Every
// accumulator must stay in a register: check_kernel_objects.py looks.
template <class S, int Q>
VR_INLINE void dot_block_i8(const std::uint8_t* codes, std::size_t n_quads,
                            const std::int8_t* queries, const std::int32_t* starts,
                            typename S::I32 (&acc)[kVecs<S>][Q]) {
    using V = typename S::I32;
    constexpr std::size_t kPerPanel = kPanelItems / S::kLanes;
    const std::size_t panel_stride = n_quads * kQuadBytes;
    VR_UNROLL
    for (int q = 0; q < Q; ++q) {
        const V begin = S::set(starts[q]);
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) acc[v][q] = begin;
    }
    for (std::size_t j = 0; j < n_quads; ++j) {
        V x[kVecs<S>];
        VR_UNROLL
        for (int v = 0; v < kVecs<S>; ++v) {
            x[v] = load<V>(codes + (v / kPerPanel) * panel_stride + j * kQuadBytes +
                           (v % kPerPanel) * sizeof(V));
        }
        VR_UNROLL
        for (int q = 0; q < Q; ++q) {
            const V quad = S::set(load<std::int32_t>(queries + (j * Q + q) * 4));
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; ++v) acc[v][q] = S::dot(acc[v][q], x[v], quad);
        }
    }
}

template <class S, int Q, Test kTest>
VR_INLINE void scan_group_i8(const ScanI8& a, std::size_t group, std::size_t q0) {
    const std::size_t first = group * S::kGroup;
    typename S::I32 acc[kVecs<S>][Q];
    dot_block_i8<S, Q>(a.codes + first / kPanelItems * a.n_quads * kQuadBytes, a.n_quads,
                       a.queries + q0 * a.n_quads * 4, a.starts + q0, acc);
    if constexpr (kTest == Test::kShifted) {
        filter_shifted<S, Q>(a, acc, first, q0);
    } else {
        VR_UNROLL
        for (int q = 0; q < Q; ++q) filter_sums<S, Q, kTest>(a, &acc[0][q], first, q0 + q);
    }
}

template <class S, int Q, Test kTest>
VR_INLINE void scan_remainder_i8(const ScanI8& a, std::size_t group, std::size_t q0,
                                 std::size_t queries) {
    if constexpr (Q > 0) {
        if (queries == Q) scan_group_i8<S, Q, kTest>(a, group, q0);
        else scan_remainder_i8<S, Q - 1, kTest>(a, group, q0, queries);
    }
}

// The memory that is read next; each part of the current work fetches a share of it. A locality as
// that of __builtin_prefetch: 3 is for the nearest cache.
template <int kLocality>
class FetchAhead {
  public:
    VR_INLINE FetchAhead in_shares(std::size_t bytes, std::size_t shares) {
        FetchAhead ahead;
        ahead.bytes_ = bytes;
        ahead.share_ = (bytes / shares + 63) / 64 * 64;
        return ahead;
    }
    __attribute__((always_inline)) void start(const void* next) {
        next_ = static_cast<const char*>(next);
        at_ = 0;
    }
    __attribute__((always_inline)) void fetch_share() {
        const std::size_t end = at_ + share_ < bytes_ ? at_ + share_ : bytes_;
        for (; at_ < end; at_ += 64) __builtin_prefetch(next_ + at_, 0, kLocality);
    }

  private:
    const char* next_;
    std::size_t bytes_;
    std::size_t share_;
    std::size_t at_;
};

template <class S>
VR_INLINE std::size_t groups_of(std::size_t n_panels) {
    return (n_panels * kPanelItems + S::kGroup - 1) / S::kGroup;
}

template <class S, Test kTest>
__attribute__((noinline)) void scan_all_i8(const ScanI8& a) {
    constexpr int Q = S::kQueriesI8;
    const std::size_t n_groups = groups_of<S>(a.n_panels);
    const std::size_t whole = a.n_queries - a.n_queries % Q;
    const std::size_t group_bytes = a.n_quads * S::kGroup * 4;
    auto ahead = FetchAhead<3>::in_shares(group_bytes, whole / Q + 1);
    for (std::size_t g = 0; g < n_groups; ++g) {
        ahead.start(a.codes + (g + 1) * group_bytes);
        for (std::size_t q0 = 0; q0 < whole; q0 += Q) {
            ahead.fetch_share();
            scan_group_i8<S, Q, kTest>(a, g, q0);
        }
        ahead.fetch_share();
        scan_remainder_i8<S, Q - 1, kTest>(a, g, whole, a.n_queries - whole);
    }
}

template <class S>
void scan_i8(const ScanI8& a) {
    if (a.scales) scan_all_i8<S, Test::kOffsets>(a);
    else if (a.shifted) scan_all_i8<S, Test::kShifted>(a);
    else scan_all_i8<S, Test::kSums>(a);
}

// Few queries: memory is the limit, so panels are walked one after the other, as they lie, and
// fetched ahead.
template <class S, Test kTest>
VR_INLINE void scan_few_i8(const ScanI8& a) {
    using V = typename S::I32;
    constexpr std::size_t kAhead = 2048;  // bytes
    constexpr int kPerPanel = static_cast<int>(kPanelItems) / S::kLanes;
    const std::size_t panel_bytes = a.n_quads * kQuadBytes;
    const std::uint8_t* end = a.codes + a.n_panels * panel_bytes;
    const std::size_t n_groups = groups_of<S>(a.n_panels);
    for (std::size_t g = 0; g < n_groups; ++g) {
        const std::size_t first = g * S::kGroup;
        for (std::size_t q = 0; q < a.n_queries; ++q) {
            const std::int8_t* query = a.queries + q * a.n_quads * 4;
            V sums[kVecs<S>];
            VR_UNROLL
            for (int v = 0; v < kVecs<S>; v += kPerPanel) {
                const std::uint8_t* panel =
                    a.codes + (first / kPanelItems + v / kPerPanel) * panel_bytes;
                if (panel == end) {  // no live items from here on
                    VR_UNROLL
                    for (int l = v; l < kVecs<S>; ++l) sums[l] = S::set(a.starts[q]);
                    break;
                }
                const auto left = static_cast<std::size_t>(end - panel);
                V acc[2][kPerPanel];  // two chains hide the latency of a dot product
                VR_UNROLL
                for (int l = 0; l < kPerPanel; ++l) {
                    acc[0][l] = S::set(a.starts[q]);
                    acc[1][l] = S::set(0);
                }
                for (std::size_t j = 0; j < a.n_quads; ++j) {
                    const std::uint8_t* at = panel + j * kQuadBytes;
                    const std::size_t ahead = j * kQuadBytes + kAhead;
                    if (q == 0) {
                        __builtin_prefetch(ahead < left ? panel + ahead : a.after + (ahead - left));
                    }
                    const V quad = S::set(load<std::int32_t>(query + j * 4));
                    VR_UNROLL
                    for (int l = 0; l < kPerPanel; ++l) {
                        acc[1][l] = S::dot(acc[1][l], load<V>(at + l * sizeof(V)), quad);
                    }
                    VR_UNROLL
                    for (int l = 0; l < kPerPanel; ++l) {
                        const V swap = acc[0][l];
                        acc[0][l] = acc[1][l];
                        acc[1][l] = swap;
                    }
                }
                VR_UNROLL
                for (int l = 0; l < kPerPanel; ++l) sums[v + l] = acc[0][l] + acc[1][l];
            }
            filter_sums<S, 1, kTest>(a, sums, first, q);
        }
    }
}

template <class S>
void scan_i8_few(const ScanI8& a) {
    if (a.scales) scan_few_i8<S, Test::kOffsets>(a);
    else scan_few_i8<S, Test::kSums>(a);
}

}  // namespace
}  // namespace vecrecall::kernels
