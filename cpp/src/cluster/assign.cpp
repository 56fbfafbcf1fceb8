#include "vecrecall/assign.hpp"

#include <algorithm>
#include <vector>

#include "fp_env.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall {

void assign(const MatrixView& points, const MatrixView& centroids, Metric metric, std::size_t m,
            std::int32_t* labels, float* scores, int threads) {
    constexpr std::size_t kChunk = 65536;
    const FpEnvScope env;
    const FlatIndex index({.rows = centroids}, metric, {.copy = false, .threads = threads});
    std::vector<std::int64_t> ids(std::min(kChunk, points.rows) * m);
    std::vector<std::int32_t> counts(std::min(kChunk, points.rows));
    for (std::size_t first = 0; first < points.rows; first += kChunk) {
        const std::size_t n = std::min(kChunk, points.rows - first);
        index.search({points.row(first), n, points.dim}, {.k = m, .threads = threads},
                     {ids.data(), scores + first * m, counts.data(), n, m});
        std::copy_n(ids.begin(), n * m, labels + first * m);
    }
}

}  // namespace vecrecall
