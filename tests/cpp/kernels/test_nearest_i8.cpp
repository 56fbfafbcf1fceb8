// The int8 scan for the nearest centroids of every table that takes codes up to 127, held against
// values written out.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "guarded.hpp"
#include "tiled_tables.hpp"

using namespace vecrecall::kernels;

namespace {

std::uint32_t bits(float x) {
    std::uint32_t b;
    std::memcpy(&b, &x, sizeof(b));
    return b;
}

// A value with the centroid's number in its group in the lowest bits.
float tagged(float value, std::size_t in_group) {
    const std::uint32_t with_tag =
        (bits(value) & ~std::uint32_t{15}) | static_cast<std::uint32_t>(in_group);
    float found;
    std::memcpy(&found, &with_tag, sizeof(found));
    return found;
}

// 64 points, whose codes end where the readable memory does, and centroids.
struct Problem {
    std::size_t dim;
    std::size_t n_centroids;
    std::size_t n_quads;
    test::GuardedBytes codes;
    std::vector<int> centroids;  // [centroid][dim]
    std::vector<float> units;
    std::vector<float> steps;
    std::vector<float> offsets;

    // Steps and units are powers of two, so that a value is rounded once on every table.
    Problem(std::size_t d, std::size_t n, std::mt19937& random)
        : dim(d), n_centroids(n), n_quads((d + 3) / 4), codes(4 * n_quads * 64) {
        std::generate_n(codes.data(), 4 * n_quads * 64,
                        [&] { return static_cast<unsigned char>(random() % 256); });
        for (std::size_t i = 0; i < n * d; ++i) {
            centroids.push_back(static_cast<int>(random() % 255) - 127);
        }
        for (std::size_t i = 0; i < kWordItems; ++i) units.push_back(i % 2 == 0 ? 1.0F : 4.0F);
        for (std::size_t c = 0; c < n; ++c) {
            steps.push_back(c % 3 == 0 ? 0.25F : 1.0F);
            offsets.push_back(static_cast<float>(random() % 512) - 256.0F);
        }
    }

    int code_at(std::size_t point, std::size_t j) const {
        return codes.data()[((point / 16 * n_quads + j / 4) * 16 + point % 16) * 4 + j % 4] - 128;
    }
    float value(std::size_t point, std::size_t c) const {
        std::int32_t sum = 0;
        for (std::size_t j = 0; j < dim; ++j) sum += centroids[c * dim + j] * code_at(point, j);
        return steps[c] * static_cast<float>(sum) + offsets[c] * units[point];
    }
};

struct Reach {
    std::vector<float> highest;
    std::vector<float> top;
    std::vector<std::int32_t> top_group;

    explicit Reach(std::size_t n_groups)
        : highest(n_groups * kWordItems), top(kWordItems), top_group(kWordItems) {}
};

// Groups are filled up with copies of the last centroid.
Reach expected(const Problem& p, std::size_t in_group, std::size_t n_groups) {
    Reach reach(n_groups);
    for (std::size_t i = 0; i < kWordItems; ++i) {
        float top = -INFINITY;
        for (std::size_t g = 0; g < n_groups; ++g) {
            float best = -INFINITY;
            for (std::size_t r = 0; r < in_group; ++r) {
                const std::size_t c = std::min(g * in_group + r, p.n_centroids - 1);
                best = std::max(best, tagged(p.value(i, c), r));
            }
            // Errors of 8 units a group.
            reach.highest[g * kWordItems + i] = best + 8.0F * p.units[i];
            if (best > top) reach.top_group[i] = static_cast<std::int32_t>(g);
            top = std::max(top, best);
        }
        reach.top[i] = top;
    }
    return reach;
}

void check_nearest(const Problem& p, const KernelTable& table) {
    CAPTURE(std::string(table.name));
    CAPTURE(p.dim);
    CAPTURE(p.n_centroids);
    const std::size_t in_group = table.nearest_i8_group;
    const std::size_t n_groups = (p.n_centroids + in_group - 1) / in_group;
    const std::size_t padded = n_groups * in_group;
    std::vector<std::int8_t> rows(padded * table.nearest_i8_layout.width(p.n_quads));
    std::vector<std::int32_t> starts(padded);
    std::vector<float> steps(padded);
    std::vector<float> offsets(padded);
    for (std::size_t i = 0; i < padded; ++i) {
        const std::size_t c = std::min(i, p.n_centroids - 1);
        const RowPlace place = table.nearest_i8_layout.place(i, padded, p.n_quads);
        for (std::size_t j = 0; j < p.dim; ++j) {
            rows[place.at(j)] = static_cast<std::int8_t>(p.centroids[c * p.dim + j]);
            starts[i] -= table.i8_code_offset * p.centroids[c * p.dim + j];
        }
        steps[i] = p.steps[c];
        offsets[i] = p.offsets[c];
    }
    const std::vector<float> zeros(std::max(n_groups, kWordItems), 0.0F);
    const std::vector<float> eights(n_groups, 8.0F);
    Reach reach(n_groups);
    const NearestI8 scan{.codes = p.codes.data(),
                         .n_quads = p.n_quads,
                         .centroids = rows.data(),
                         .starts = starts.data(),
                         .steps = steps.data(),
                         .offsets = offsets.data(),
                         .n_groups = n_groups,
                         .points = {p.units.data(), zeros.data(), zeros.data()},
                         .groups = {zeros.data(), zeros.data(), eights.data()},
                         .reach = {reach.highest.data(), reach.top.data(), reach.top_group.data()},
                         .prefetch = {p.codes.data(), 4 * p.n_quads * 64}};
    table.nearest_i8(scan);
    const Reach wanted = expected(p, in_group, n_groups);
    const auto same = [](float a, float b) { return bits(a) == bits(b); };
    CHECK(std::equal(wanted.highest.begin(), wanted.highest.end(), reach.highest.begin(), same));
    CHECK(std::equal(wanted.top.begin(), wanted.top.end(), reach.top.begin(), same));
    CHECK(wanted.top_group == reach.top_group);
}

}  // namespace

TEST_CASE("nearest_i8: every width") {
    std::mt19937 random(1);
    for (std::size_t dim = 1; dim <= 200; ++dim) {
        const Problem problem(dim, 1 + random() % 70, random);
        for (const KernelTable* table : test::int8_tables()) check_nearest(problem, *table);
    }
    for (const std::size_t n : {1, 15, 16, 17, 256}) {
        const Problem problem(72, n, random);
        for (const KernelTable* table : test::int8_tables()) check_nearest(problem, *table);
    }
}
