#include "vecrecall/values.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "data.hpp"

using namespace vecrecall;

namespace {

TEST_CASE("values: rows that are not finite") {
    constexpr std::size_t kRows = 9001;
    auto x = test::gaussian(kRows * 3, 6);
    CHECK(first_nonfinite_row({x.get(), kRows, 3}) == -1);
    x[3 * 8999 + 1] = INFINITY;
    x[3 * 4097] = NAN;
    CHECK(first_nonfinite_row({x.get(), kRows, 3}) == 4097);
    std::vector<std::uint8_t> finite(kRows);
    finite_rows({x.get(), kRows, 3}, finite.data());
    for (std::size_t r = 0; r < kRows; ++r) CHECK((finite[r] == 1) == (r != 4097 && r != 8999));
}

TEST_CASE("values: float64 as float32") {
    const double wide[] = {1.5, 1e-310, INFINITY, 1e300};
    float narrowed[4];
    CHECK(narrow(wide, 4, 1, narrowed) == 3);
    CHECK(narrow(wide, 3, 1, narrowed) == -1);
    CHECK((narrowed[0] == 1.5F && narrowed[1] == 0.0F && std::isinf(narrowed[2])));
}

}  // namespace
