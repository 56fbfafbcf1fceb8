#include "vecrecall/pool.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "data.hpp"
#include "on_every_isa.hpp"

using namespace vecrecall;

namespace {

void check_sums(std::size_t dim) {
    constexpr std::size_t kRows = 9;
    const auto table = test::gaussian(kRows * dim, 5);
    const std::int64_t values[] = {8, 0, -1, 3, 3, 7};
    const std::int64_t offsets[] = {0, 3, 3, 6};
    const double weights[] = {0.5, 2.0, 9.0, -1.0, 0.25, 3.0};
    std::vector<float> out(3 * dim);
    pool({table.get(), kRows, dim}, {values, offsets, 3}, {.weights = weights}, out.data());
    for (std::size_t b = 0; b < 3; ++b) {
        for (std::size_t j = 0; j < dim; ++j) {
            double sum = 0;
            for (std::int64_t i = offsets[b]; i < offsets[b + 1]; ++i) {
                if (values[i] < 0) continue;
                sum += weights[i] * table[static_cast<std::size_t>(values[i]) * dim + j];
            }
            CHECK(out[b * dim + j] == static_cast<float>(sum));
        }
    }
}

TEST_CASE("pool: errors") {
    const float table[] = {1, 2, NAN};
    const std::int64_t beyond[] = {3};
    const std::int64_t poisoned[] = {2};
    const std::int64_t offsets[] = {0, 1};
    float out = 0;
    CHECK_THROWS_AS(pool({table, 3, 1}, {beyond, offsets, 1}, {}, &out), std::out_of_range);
    CHECK_THROWS_AS(pool({table, 3, 1}, {poisoned, offsets, 1}, {}, &out), std::invalid_argument);
}

TEST_CASE("pool: sums of all widths") {
    test::on_every_isa([] {
        for (const std::size_t dim : {1, 7, 8, 9, 31, 32, 33, 64, 71, 136}) check_sums(dim);
    });
}

}  // namespace
