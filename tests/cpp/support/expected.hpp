// The lists that a search must find, from sums written out one term at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vecrecall/flat_index.hpp"

namespace test {

using vecrecall::ItemsView;
using vecrecall::ListsOut;
using vecrecall::Metric;

inline double lanes(const std::vector<double>& terms) {
    double a[8] = {};
    for (std::size_t j = 0; j < terms.size(); ++j) a[j % 8] += terms[j];
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

inline double products(const float* a, const float* b, std::size_t d) {
    std::vector<double> terms(d);
    for (std::size_t j = 0; j < d; ++j) terms[j] = static_cast<double>(a[j]) * b[j];
    return lanes(terms);
}

inline float expected_score(Metric metric, const float* q, const float* x, std::size_t d,
                            double bias) {
    double score = products(q, x, d);
    if (metric == Metric::kCosine) {
        score /= std::sqrt(products(q, q, d)) * std::sqrt(products(x, x, d));
    } else if (metric == Metric::kL2) {
        std::vector<double> terms(d);
        for (std::size_t j = 0; j < d; ++j) {
            const double e = static_cast<double>(q[j]) - x[j];
            terms[j] = e * e;
        }
        score = 0 - lanes(terms);
    }
    return static_cast<float>(score + bias) + 0.0F;
}

inline std::uint32_t bits(float x) {
    std::uint32_t b;
    std::memcpy(&b, &x, sizeof(b));
    return b;
}

struct Ranked {
    float score;
    std::int64_t id;
};

// Of rows in float32.
inline std::vector<Ranked> expected_list(Metric metric, const float* q, const ItemsView& items) {
    std::vector<Ranked> all;
    for (std::size_t i = 0; i < items.rows.rows; ++i) {
        const double bias = items.bias ? items.bias[i] : 0.0;
        const auto* row = static_cast<const float*>(items.rows.row(i).data);
        all.push_back({expected_score(metric, q, row, items.rows.dim, bias),
                       items.ids ? items.ids[i] : static_cast<std::int64_t>(i)});
    }
    std::sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
        return a.score != b.score ? a.score > b.score : a.id < b.id;
    });
    return all;
}

// How many of the first n items are those expected, up to the first that is not. Lists are compared
// as a whole: a check per item would take longer than the searches.
inline std::size_t n_as_expected(const std::int64_t* ids, const float* scores,
                                 const std::vector<Ranked>& wanted, std::size_t n) {
    std::size_t i = 0;
    while (i < n && ids[i] == wanted[i].id && bits(scores[i]) == bits(wanted[i].score)) ++i;
    return i;
}

struct Answer {
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<std::int32_t> counts;
    ListsOut out;

    Answer(std::size_t rows, std::size_t k)
        : ids(rows * k),
          scores(rows * k),
          counts(rows),
          out{ids.data(), scores.data(), counts.data(), rows, k} {}
};

}  // namespace test
