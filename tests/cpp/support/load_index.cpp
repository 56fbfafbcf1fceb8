// Loads the folders that come by line on standard input, and says of each what came of it:
// `invalid MESSAGE`, `system MESSAGE`, or `index` with ids and the bits of scores.
// tools/compare_loaders.py compares that with what Python makes of them.
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "expected.hpp"
#include "vecrecall/files.hpp"

namespace {

void print_search(const vecrecall::FlatIndex& index) {
    constexpr std::size_t kLength = 50;
    std::vector<float> query(index.dim());
    for (std::size_t j = 0; j < query.size(); ++j) query[j] = static_cast<float>(j % 3) - 0.5F;
    test::Answer answer(1, kLength);
    index.search({query.data(), 1, query.size()}, {.k = kLength}, answer.out);
    std::printf("index");
    for (std::size_t i = 0; i < static_cast<std::size_t>(answer.counts[0]); ++i) {
        std::printf(" %lld:%08x", static_cast<long long>(answer.ids[i]),
                    test::bits(answer.scores[i]));
    }
    std::printf("\n");
}

}  // namespace

int main() {
    bool map = false;
    for (std::string folder; std::getline(std::cin, folder); map = !map) {
        try {
            print_search(vecrecall::load_flat_index(
                folder, map ? vecrecall::Access::kMap : vecrecall::Access::kRead));
        } catch (const std::invalid_argument& error) {
            std::printf("invalid %s\n", error.what());
        } catch (const std::system_error& error) {
            std::printf("system %s\n", error.what());
        }
        std::fflush(stdout);
    }
}
