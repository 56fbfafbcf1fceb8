// The two best of three items, without Python.
#include <cstdio>

#include "vecrecall/flat_index.hpp"

int main() {
    const float items[] = {1, 0, 0, 1, 1, 1};
    const float query[] = {2, 1};
    const vecrecall::FlatIndex index({.rows = {items, 3, 2}}, vecrecall::Metric::kIp);

    std::int64_t ids[2];
    float scores[2];
    std::int32_t count = 0;
    index.search({query, 1, 2}, {.k = 2}, {ids, scores, &count, 1, 2});
    for (int i = 0; i < count; ++i) {
        std::printf("item %lld, score %g\n", static_cast<long long>(ids[i]),
                    static_cast<double>(scores[i]));
    }
    return count == 2 && ids[0] == 2 && ids[1] == 0 ? 0 : 1;
}
