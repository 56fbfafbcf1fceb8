// Updates against a plain list of items, on every instruction set; and during searches.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "expected.hpp"
#include "on_every_isa.hpp"
#include "vecrecall/flat_index.hpp"

using namespace vecrecall;
using test::Answer;
using test::bits;

namespace {

constexpr std::size_t kDim = 6;

struct Item {
    std::int64_t id;
    std::vector<float> row;
    double bias;
};

// Items in the order of insertion.
class Model {
  public:
    const std::vector<Item>& items() const { return items_; }
    bool has(std::int64_t id) { return find(id) != items_.end(); }
    std::int64_t largest_id() const {
        std::int64_t largest = -1;
        for (const Item& item : items_) largest = std::max(largest, item.id);
        return largest;
    }
    void put(const Item& item) {
        const auto found = find(item.id);
        if (found == items_.end()) items_.push_back(item);
        else *found = item;
    }
    void remove(std::int64_t id) { items_.erase(find(id)); }

  private:
    std::vector<Item>::iterator find(std::int64_t id) {
        return std::find_if(items_.begin(), items_.end(),
                            [&](const Item& item) { return item.id == id; });
    }

    std::vector<Item> items_;
};

// Items as flat arrays of exact size.
struct Flat {
    std::vector<float> rows;
    std::vector<std::int64_t> ids;
    std::vector<double> bias;

    explicit Flat(const std::vector<Item>& items) {
        for (const Item& item : items) {
            rows.insert(rows.end(), item.row.begin(), item.row.end());
            ids.push_back(item.id);
            bias.push_back(item.bias);
        }
    }
    ItemsView view() const {
        return {.rows = {rows.data(), ids.size(), kDim}, .ids = ids.data(), .bias = bias.data()};
    }
};

class Draw {
  public:
    explicit Draw(unsigned seed) : engine_(seed) {}

    std::size_t below(std::size_t n) { return engine_() % n; }
    // Lengths differ much, so that larger segments are ordered.
    Item item(std::int64_t id, bool with_bias) {
        Item item{.id = id, .row = std::vector<float>(kDim), .bias = 0};
        const auto scale = std::exp(normal_(engine_));
        for (float& x : item.row) x = scale * normal_(engine_);
        if (with_bias) item.bias = normal_(engine_);
        return item;
    }

  private:
    std::mt19937 engine_;
    std::normal_distribution<float> normal_;
};

void check_search(const FlatIndex& index, Metric metric, const Flat& flat, Draw& draw) {
    const std::vector<float> q = draw.item(0, false).row;
    const auto wanted = test::expected_list(metric, q.data(), flat.view());
    for (const std::size_t k : {std::size_t{1}, std::size_t{20}, flat.ids.size() + 3}) {
        Answer answer(1, k);
        index.search({q.data(), 1, kDim}, {.k = k, .threads = 2}, answer.out);
        const std::size_t n = std::min(k, wanted.size());
        CHECK(answer.counts[0] == static_cast<std::int32_t>(n));
        CHECK(test::n_as_expected(answer.ids.data(), answer.scores.data(), wanted, n) == n);
        for (std::size_t i = n; i < k; ++i) CHECK(answer.ids[i] == -1);
    }
}

// Masks are made once and used after every update.
void check_mask(const FlatIndex& index, const Flat& flat, const IdMask& mask, bool odd) {
    const std::vector<float> q(kDim, 1.0F);
    const std::size_t k = flat.ids.size() + 1;
    Answer answer(1, k);
    const IdMask* masks[] = {&mask};
    index.search({q.data(), 1, kDim}, {.k = k, .allow = masks}, answer.out);
    std::vector<std::int64_t> found(answer.ids.begin(), answer.ids.begin() + answer.counts[0]);
    std::vector<std::int64_t> wanted;
    for (const std::int64_t id : flat.ids) {
        if ((id % 2 != 0) == odd) wanted.push_back(id);
    }
    std::sort(found.begin(), found.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(found == wanted);
}

void check_reads(const FlatIndex& index, const Flat& flat) {
    const Snapshot now = index.snapshot();
    CHECK(now.size() == flat.ids.size());
    std::vector<std::int64_t> ids(now.size());
    now.ids(ids.data());
    CHECK(ids == flat.ids);
    std::vector<std::int64_t> rows(ids.size());
    now.find(ids.data(), ids.size(), rows.data());
    std::vector<float> row(kDim);
    const auto is_there = [&](std::size_t i) {
        if (rows[i] < 0) return false;
        now.row(static_cast<std::size_t>(rows[i]), row.data());
        return std::equal(row.begin(), row.end(),
                          flat.rows.begin() + static_cast<std::ptrdiff_t>(i * kDim));
    };
    std::size_t n_found = 0;
    while (n_found < ids.size() && is_there(n_found)) ++n_found;
    CHECK(n_found == ids.size());
    const std::int64_t unknown[] = {-5, 1 << 30};
    std::int64_t none[2];
    now.find(unknown, 2, none);
    CHECK((none[0] == -1 && none[1] == -1));
}

// Adds, replaces, removes: small and large, so that blocks fill up, segments are merged and the
// index is rebuilt.
void change(FlatIndex& index, Model& model, Draw& draw, std::int64_t& next_id, bool with_bias) {
    constexpr std::size_t kSizes[] = {1, 90, 600, 2048, 2500};
    const std::size_t n = kSizes[draw.below(5)];
    const std::size_t kind = draw.below(9);
    std::vector<Item> items;
    if (kind == 8) {
        for (std::size_t i = 0; i < n; ++i) {
            items.push_back(
                draw.item(model.largest_id() + 1 + static_cast<std::int64_t>(i), with_bias));
        }
        const Flat flat(items);
        ItemsView unnumbered = flat.view();
        unnumbered.ids = nullptr;
        CHECK(index.append(unnumbered, -1, 2) == items.front().id);
        next_id = std::max(next_id, items.back().id + 1);
    } else if (kind < 4) {
        for (std::size_t i = 0; i < n; ++i) {
            const std::int64_t id = next_id++;
            items.push_back(draw.item(id, with_bias));
        }
        index.add(Flat(items).view(), 2);
    } else if (kind < 6) {
        for (std::size_t i = 0; i < n; ++i) {
            const auto id = static_cast<std::int64_t>(3 * i + draw.below(3));
            items.push_back(draw.item(id, with_bias));
        }
        next_id = std::max<std::int64_t>(next_id, 3 * static_cast<std::int64_t>(n));
        index.update(Flat(items).view(), 2);
    } else {
        std::vector<std::int64_t> gone;
        for (std::size_t i = 0; i < model.items().size(); ++i) {
            if (draw.below(kind == 6 ? 200 : 12) == 0) gone.push_back(model.items()[i].id);
        }
        index.remove(gone.data(), gone.size());
        for (const std::int64_t id : gone) model.remove(id);
    }
    for (const Item& item : items) model.put(item);
}

void check_against_model(Metric metric, bool copy, bool with_bias, unsigned seed) {
    Draw draw(seed);
    Model model;
    std::int64_t next_id = 0;
    const std::size_t at_first = copy ? 0 : 3000;
    for (; next_id < static_cast<std::int64_t>(at_first); ++next_id) {
        model.put(draw.item(next_id, with_bias));
    }
    const Flat given(model.items());
    FlatIndex index(given.view(), metric, {.copy = copy});
    std::vector<std::int64_t> evens;
    for (std::int64_t id = 0; id < 100000; id += 2) evens.push_back(id);
    const IdMask even(evens.data(), evens.size());
    const IdMask odd(evens.data(), evens.size(), true);
    for (int step = 0; step < 24; ++step) {
        change(index, model, draw, next_id, with_bias);
        if (step == 15) index.compact();
        const Flat flat(model.items());
        check_reads(index, flat);
        check_search(index, metric, flat, draw);
        check_mask(index, flat, even, false);
        check_mask(index, flat, odd, true);
    }
    index.remove(Flat(model.items()).ids.data(), model.items().size());
    check_reads(index, Flat({}));
    check_search(index, metric, Flat({}), draw);
}

void check_models(Metric metric, unsigned seed) {
    check_against_model(metric, true, false, seed);
    check_against_model(metric, false, true, seed + 1);
}

TEST_CASE("update: errors") {
    const Flat given({{1, {1, 0, 0, 0, 0, 0}, 0}, {2, {0, 1, 0, 0, 0, 0}, 0}});
    FlatIndex index(given.view(), Metric::kIp);
    const float x[2 * kDim] = {1, 2};
    const auto with = [&](std::vector<std::int64_t> ids, std::size_t dim, bool replace) {
        const ItemsView items{.rows = {x, ids.size(), dim}, .ids = ids.data()};
        if (replace) index.update(items);
        else index.add(items);
    };
    CHECK_THROWS_AS(with({5, 2}, kDim, false), std::invalid_argument);
    CHECK_THROWS_AS(with({5, 5}, kDim, false), std::invalid_argument);
    CHECK_THROWS_AS(with({5, 5}, kDim, true), std::invalid_argument);
    CHECK_THROWS_AS(with({5, -1}, kDim, true), std::invalid_argument);
    CHECK_THROWS_AS(with({5, 6}, kDim - 1, true), std::invalid_argument);
    CHECK_THROWS_AS(index.add({.rows = {x, 2, kDim}}), std::invalid_argument);
    CHECK_THROWS_AS(index.append({.rows = {x, 2, kDim - 1}}), std::invalid_argument);
    constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
    CHECK_THROWS_AS(index.append({.rows = {x, 2, kDim}}, kLargest - 1), std::invalid_argument);
    CHECK_THROWS_AS(index.append({.rows = {x, 1, kDim}}, kLargest), std::invalid_argument);
    const std::int64_t gone[] = {1, 9};
    CHECK_THROWS_AS(index.remove(gone, 2), std::out_of_range);
    check_reads(index, given);  // nothing was done
    index.remove(gone, 2, true);
    CHECK(index.size() == 1);
}

// Readers and a writer. Items come in pairs of equal rows with ids 2p and 2p + 1 that one call
// adds, replaces or removes: a list of even length holds both of a pair, side by side, or none.
constexpr std::int64_t kPairs = 3000;

class Pairs {
  public:
    explicit Pairs(unsigned seed) : draw_(seed) {}

    // Of pairs first, first + stride ...
    Flat of(std::int64_t first, std::int64_t stride) {
        std::vector<Item> items;
        for (std::int64_t p = first; p < kPairs; p += stride) {
            items.push_back(draw_.item(2 * p, false));
            items.push_back(items.back());
            items.back().id = 2 * p + 1;
        }
        return Flat(items);
    }

  private:
    Draw draw_;
};

void read(const FlatIndex& index, const IdMask& mask, unsigned seed, const std::atomic<bool>& stop,
          std::atomic<int>& rounds) {
    constexpr std::size_t kLength = 30;
    Draw draw(seed);
    while (!stop) {
        const std::vector<float> q = draw.item(0, false).row;
        const IdMask* masks[] = {&mask};
        const bool masked = draw.below(2) == 0;
        const SearchOptions options{
            .k = kLength, .allow = masked ? masks : nullptr, .threads = 1 + (rounds % 2)};
        const Snapshot now = index.snapshot();
        Answer answer(1, kLength);
        now.search({q.data(), 1, kDim}, options, answer.out);
        CHECK(answer.counts[0] == kLength);
        for (std::size_t i = 0; i < kLength; i += 2) {
            CHECK((answer.ids[i] % 2 == 0 && answer.ids[i + 1] == answer.ids[i] + 1));
            CHECK(bits(answer.scores[i]) == bits(answer.scores[i + 1]));
        }
        const std::int64_t offsets[] = {0, kLength};
        std::vector<float> scores(kLength);
        now.score({q.data(), 1, kDim}, {answer.ids.data(), offsets, 1}, scores.data());
        CHECK(scores == answer.scores);  // of the same moment
        ++rounds;
    }
}

TEST_CASE("update: readers with a writer") {
    Pairs pairs(1);
    Flat all = pairs.of(0, 1);
    FlatIndex index(all.view(), Metric::kIp);
    const Flat few = pairs.of(0, 2);
    const IdMask mask(few.ids.data(), few.ids.size());
    std::atomic<bool> stop{false};
    std::atomic<int> rounds{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] { read(index, mask, t, stop, rounds); });
    }
    for (int step = 0; step < 60 || rounds < 100; ++step) {
        const Flat some = pairs.of(step % 7, 7 + step % 50);
        if (step % 3 == 0) index.update(some.view());
        index.remove(some.ids.data(), some.ids.size());
        index.add(some.view());
        if (step % 20 == 19) index.compact();
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(index.size() == static_cast<std::size_t>(2 * kPairs));
}

TEST_CASE("update: ids that follow") {
    const float x[3 * kDim] = {1, 2};
    constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
    FlatIndex index({.rows = {x, 0, kDim}}, Metric::kIp);
    CHECK(index.append({.rows = {x, 2, kDim}}) == 0);
    CHECK(index.append({.rows = {x, 1, kDim}}) == 2);
    const std::int64_t far[] = {40};
    index.add({.rows = {x, 1, kDim}, .ids = far});
    CHECK(index.append({.rows = {x, 1, kDim}}) == 41);
    CHECK(index.append({.rows = {x, 1, kDim}}, 99) == 100);
    const std::int64_t gone[] = {41, 100};
    index.remove(gone, 2);
    CHECK(index.append({.rows = {x, 1, kDim}}) == 41);
    CHECK(index.append({.rows = {x, 1, kDim}}, kLargest - 1) == kLargest);
    CHECK(index.append({.rows = {x, 0, kDim}}) == 0);  // nothing is asked for
    CHECK_THROWS_AS(index.append({.rows = {x, 1, kDim}}), std::invalid_argument);
    CHECK(index.size() == 6);
}

// Each writer has ids of its own, and shares those that follow the largest.
TEST_CASE("update: two writers") {
    FlatIndex index({.rows = {nullptr, 0, kDim}}, Metric::kL2);
    std::vector<std::thread> writers;
    for (int w = 0; w < 2; ++w) {
        writers.emplace_back([&, w] {
            Draw draw(static_cast<unsigned>(w));
            for (std::int64_t i = 0; i < 150; ++i) {
                index.add(Flat({draw.item(2 * i + w, true)}).view());
                const std::int64_t before = 2 * (i - 1) + w;
                if (i % 3 == 2) index.remove(&before, 1);
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    CHECK(index.size() == 200);
    writers.clear();
    for (int w = 0; w < 2; ++w) {
        writers.emplace_back([&] {
            Draw draw(7);
            for (std::int64_t i = 0; i < 150; ++i) {
                ItemsView one{.rows = {nullptr, 1, kDim}};
                const Item item = draw.item(0, false);
                one.rows.data = item.row.data();
                CHECK(index.append(one) >= 300);
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    CHECK(index.size() == 500);
}

// Snapshots have one version until something is updated.
TEST_CASE("update: versions") {
    Draw draw(1);
    std::vector<Item> items;
    for (std::int64_t id = 0; id < 50; ++id) items.push_back(draw.item(id, true));
    FlatIndex index(Flat(items).view(), Metric::kL2);
    const Snapshot whole = index.snapshot();
    CHECK(index.snapshot().version() == whole.version());
    CHECK(whole.compacted().version() == whole.version());
    const std::int64_t known = 7;
    const std::int64_t unknown = 99;
    index.remove(&known, 1);
    const Snapshot fewer = index.snapshot();
    CHECK(fewer.version() != whole.version());
    CHECK(fewer.compacted().version() != fewer.version());
    CHECK_THROWS_AS(index.remove(&unknown, 1), std::out_of_range);
    CHECK(index.snapshot().version() == fewer.version());
    index.compact();
    CHECK(index.snapshot().version() != fewer.version());
}

TEST_CASE("update: against a model by inner product") {
    test::on_every_isa([] { check_models(Metric::kIp, 2); });
}

TEST_CASE("update: against a model by cosine") {
    test::on_every_isa([] { check_models(Metric::kCosine, 4); });
}

TEST_CASE("update: against a model by distance") {
    test::on_every_isa([] { check_models(Metric::kL2, 6); });
}

}  // namespace
