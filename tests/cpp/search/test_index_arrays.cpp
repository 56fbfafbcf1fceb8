// An index from its parts answers as before; from parts that are damaged it reads nothing outside.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "on_every_isa.hpp"
#include "vecrecall/flat_index.hpp"
#include "vecrecall/index_arrays.hpp"

using namespace vecrecall;

namespace {

constexpr std::size_t kDim = 7;
constexpr std::size_t kRows = 7 * 2048 + 1;  // the fewest that are kept by length
constexpr std::size_t kQueries = 8;

// The parts of an index in arrays of exact size.
struct Copied {
    std::vector<float> rows, center, row_terms;
    std::vector<std::int64_t> ids;
    std::vector<double> bias, block_bounds, code_bounds;
    std::vector<std::uint32_t> order;
    std::vector<std::uint8_t> codes;
    Metric metric;

    explicit Copied(const IndexArrays& parts)
        : rows(static_cast<const float*>(parts.rows.data),
               static_cast<const float*>(parts.rows.data) + parts.rows.rows * kDim),
          center(copy(parts.center)),
          row_terms(copy(parts.row_terms)),
          ids(copy(parts.ids)),
          bias(copy(parts.bias)),
          block_bounds(copy(parts.block_bounds)),
          code_bounds(copy(parts.code_bounds)),
          order(copy(parts.order)),
          codes(copy(parts.codes)),
          metric(parts.metric) {}

    IndexArrays parts() const {
        return {.metric = metric,
                .rows = {rows.data(), rows.size() / kDim, kDim},
                .ids = view(ids),
                .bias = view(bias),
                .order = view(order),
                .center = view(center),
                .row_terms = view(row_terms),
                .block_bounds = view(block_bounds),
                .codes = view(codes),
                .code_bounds = view(code_bounds)};
    }

  private:
    template <class T>
    static std::vector<T> copy(const ArrayView<T>& part) {
        return {part.data, part.data + part.size};
    }
    template <class T>
    static ArrayView<T> view(const std::vector<T>& part) {
        return {part.data(), part.size()};
    }
};

FlatIndex make_index(Metric metric) {
    const auto rows = test::gaussian(kRows * kDim, 1);
    std::vector<std::int64_t> ids(kRows);
    std::vector<double> bias(kRows);
    for (std::size_t i = 0; i < kRows; ++i) {
        ids[i] = static_cast<std::int64_t>(i * 7919 % kRows);
        bias[i] = static_cast<double>(i % 5);
        const auto length = static_cast<float>(1 + i % 100 * (i % 100));
        for (std::size_t j = 0; j < kDim; ++j) rows[i * kDim + j] *= length;
    }
    return {{.rows = {rows.get(), kRows, kDim}, .ids = ids.data(), .bias = bias.data()}, metric};
}

struct Lists {
    std::vector<std::int64_t> ids;
    std::vector<float> scores;
    std::vector<std::int32_t> counts;
};

Lists search(const FlatIndex& index, std::size_t queries, std::size_t k, const IdMask* mask) {
    const auto q = test::gaussian(queries * kDim, 2);
    Lists lists{std::vector<std::int64_t>(queries * k), std::vector<float>(queries * k),
                std::vector<std::int32_t>(queries)};
    const std::vector<const IdMask*> masks(queries, mask);
    index.search({q.get(), queries, kDim}, {.k = k, .allow = mask ? masks.data() : nullptr},
                 {lists.ids.data(), lists.scores.data(), lists.counts.data(), queries, k});
    return lists;
}

void check_same(const FlatIndex& a, const FlatIndex& b) {
    for (const std::size_t k : {10, 3000}) {
        const Lists x = search(a, kQueries, k, nullptr);
        const Lists y = search(b, kQueries, k, nullptr);
        CHECK(x.ids == y.ids);
        CHECK(x.counts == y.counts);
        CHECK(std::memcmp(x.scores.data(), y.scores.data(), x.scores.size() * 4) == 0);
    }
}

// Whatever the answers: errors are std::invalid_argument.
void use(FlatIndex& index) {
    const auto attempt = [](const std::function<void()>& step) {
        try {
            step();
        } catch (const std::invalid_argument&) {
            std::printf(".");
        }
    };
    for (const std::size_t queries : {std::size_t{1}, kQueries})
        search(index, queries, 100, nullptr);
    search(index, 1, 5000, nullptr);
    std::vector<std::int64_t> some(90);
    for (std::size_t i = 0; i < some.size(); ++i) some[i] = static_cast<std::int64_t>(i * 100);
    const IdMask few(some.data(), some.size());
    const IdMask others(some.data(), some.size(), true);
    attempt([&] { search(index, kQueries, 10, &few); });
    attempt([&] { search(index, kQueries, 10, &others); });
    std::vector<float> rows(some.size() * kDim, 1.0F);
    attempt([&] { index.update({.rows = {rows.data(), some.size(), kDim}, .ids = some.data()}); });
    attempt([&] { index.remove(some.data(), 10, true); });
    attempt([&] { index.compact(); });
    search(index, kQueries, 1, nullptr);
}

template <class T>
void fill(std::vector<T>& part, std::uint32_t pattern, std::mt19937& engine) {
    auto* bytes = reinterpret_cast<unsigned char*>(part.data());
    for (std::size_t i = 0; i < part.size() * sizeof(T); ++i) {
        const std::uint32_t word = pattern != 0 ? pattern : static_cast<std::uint32_t>(engine());
        bytes[i] = static_cast<unsigned char>(word >> (i % 4 * 8));
    }
}

void check_damaged(const Copied& whole) {
    std::mt19937 engine(3);
    // NaN, infinity, nearly the largest float, codes and floats of all kinds.
    for (const std::uint32_t pattern : {~0U, 0x7F800000U, 0x7F7FFFFEU, 0U}) {
        for (const int what : {1, 2, 4, 8, 15}) {
            Copied damaged = whole;
            if (what & 1) fill(damaged.rows, pattern, engine);
            if (what & 2) fill(damaged.codes, pattern, engine);
            if (what & 4) fill(damaged.row_terms, pattern, engine);
            if (what & 8) fill(damaged.bias, pattern, engine);
            for (double& x : damaged.block_bounds) x = what % 3 == 0 ? 0 : x;
            for (double& x : damaged.code_bounds) x = what % 3 == 1 ? 1e-300 : x;
            FlatIndex index(damaged.parts());
            use(index);
        }
    }
    Copied repeated = whole;
    std::fill(repeated.ids.begin(), repeated.ids.end(), 5);
    FlatIndex index(repeated.parts());
    use(index);
}

template <class Change>
void check_refused(const Copied& whole, Change change) {
    Copied damaged = whole;
    change(damaged);
    CHECK_THROWS_AS(FlatIndex(damaged.parts()), std::invalid_argument);
}

void check_refusals(const Copied& whole) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    check_refused(whole, [](Copied& c) { c.rows.resize(c.rows.size() - kDim); });
    check_refused(whole, [](Copied& c) { c.center.pop_back(); });
    IndexArrays flat = whole.parts();
    flat.rows.dim = flat.center.size = flat.codes.size = flat.code_bounds.size = 0;
    CHECK_THROWS_AS(FlatIndex{flat}, std::invalid_argument);
    check_refused(whole, [](Copied& c) { c.row_terms.push_back(0); });
    check_refused(whole, [](Copied& c) { c.ids.pop_back(); });
    check_refused(whole, [](Copied& c) { c.bias.pop_back(); });
    check_refused(whole, [](Copied& c) { c.codes.pop_back(); });
    check_refused(whole, [](Copied& c) { c.codes.clear(); });
    check_refused(whole, [](Copied& c) { c.code_bounds.clear(); });
    check_refused(whole, [](Copied& c) { c.code_bounds.pop_back(); });
    check_refused(whole, [](Copied& c) { c.block_bounds.clear(); });
    check_refused(whole, [](Copied& c) { c.ids[9] = -1; });
    if (!whole.order.empty()) {
        check_refused(whole, [](Copied& c) { c.order.pop_back(); });
        check_refused(whole, [](Copied& c) { c.order[9] = kRows; });
        check_refused(whole, [](Copied& c) { c.order[9] = c.order[8]; });
    }
    check_refused(whole, [&](Copied& c) { c.center[1] = static_cast<float>(nan); });
    check_refused(whole, [&](Copied& c) { c.block_bounds[1] = nan; });
    check_refused(whole, [&](Copied& c) { c.code_bounds[3] = nan; });
    check_refused(whole, [](Copied& c) { c.code_bounds[0] = 0; });
}

// A missing array may have a pointer all the same, as empty arrays have.
void check_empty_parts(const Copied& whole) {
    IndexArrays missing = whole.parts();
    missing.ids = {};
    missing.bias = {};
    missing.order = {};
    IndexArrays empty = missing;
    empty.ids.data = whole.ids.data() + whole.ids.size();
    empty.bias.data = whole.bias.data() + whole.bias.size();
    empty.order.data = whole.order.data() + whole.order.size();
    const FlatIndex a(missing);
    const FlatIndex b(empty);
    check_same(a, b);
    std::vector<std::int64_t> x(a.size());
    std::vector<std::int64_t> y(b.size());
    a.snapshot().ids(x.data());
    b.snapshot().ids(y.data());
    CHECK(x == y);
}

// With an index and its arrays, on every instruction set.
template <class Check>
void on_an_index(Metric metric, const Check& check) {
    test::on_every_isa([&] {
        const FlatIndex index = make_index(metric);
        const Snapshot snapshot = index.snapshot().compacted();
        check(Copied(snapshot.parts()), index);
    });
}

void check_whole(const Copied& whole, const FlatIndex& index) {
    CHECK(whole.order.empty() == (index.metric() == Metric::kCosine));
    CHECK(!whole.codes.empty());
    check_same(FlatIndex(whole.parts()), index);
    check_refusals(whole);
    check_empty_parts(whole);
}

TEST_CASE("index_arrays: whole and refused by inner product") {
    on_an_index(Metric::kIp, check_whole);
}

TEST_CASE("index_arrays: whole and refused by cosine") {
    on_an_index(Metric::kCosine, check_whole);
}

TEST_CASE("index_arrays: whole and refused by distance") { on_an_index(Metric::kL2, check_whole); }

TEST_CASE("index_arrays: damaged values by inner product") {
    on_an_index(Metric::kIp, [](const Copied& whole, const FlatIndex&) { check_damaged(whole); });
}

TEST_CASE("index_arrays: damaged values by cosine") {
    on_an_index(Metric::kCosine,
                [](const Copied& whole, const FlatIndex&) { check_damaged(whole); });
}

TEST_CASE("index_arrays: damaged values by distance") {
    on_an_index(Metric::kL2, [](const Copied& whole, const FlatIndex&) { check_damaged(whole); });
}

TEST_CASE("index_arrays: borrowed arrays are kept as long as needed") {
    auto owner = std::make_shared<int>(0);
    const FlatIndex index = make_index(Metric::kL2);
    const Snapshot snapshot = index.snapshot();
    FlatIndex borrowing(snapshot.parts(), owner);
    CHECK(owner.use_count() == 2);
    const std::int64_t id = 0;
    borrowing.remove(&id, 1);
    CHECK_THROWS_AS(static_cast<void>(borrowing.snapshot().parts()), std::logic_error);
    CHECK(owner.use_count() == 2);
    borrowing.compact();
    CHECK(owner.use_count() == 1);
}

}  // namespace
