// The ten best items of an index that Python saved: saved FOLDER X1 X2 ...
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "vecrecall/files.hpp"

int main(int argc, char** argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: saved FOLDER X1 X2 ...\n");
        return 2;
    }
    const vecrecall::FlatIndex index = vecrecall::load_flat_index(argv[1]);
    std::vector<float> query(index.dim());
    if (query.size() + 2 != static_cast<std::size_t>(argc)) {
        std::fprintf(stderr, "expected %zu values, got %d\n", query.size(), argc - 2);
        return 2;
    }
    std::transform(argv + 2, argv + argc, query.begin(),
                   [](const char* text) { return std::strtof(text, nullptr); });

    const std::size_t k = 10;
    std::int64_t ids[k];
    float scores[k];
    std::int32_t count = 0;
    index.search({query.data(), 1, query.size()}, {.k = k}, {ids, scores, &count, 1, k});
    for (int i = 0; i < count; ++i) {  // nine digits tell every float from the others
        std::printf("item %lld, score %.9g\n", static_cast<long long>(ids[i]),
                    static_cast<double>(scores[i]));
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
