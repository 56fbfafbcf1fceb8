// An index of lists: exact among the lists that are probed, and altogether; on every instruction
// set, after updates, from its parts and from damaged ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "on_every_isa.hpp"
#include "saved_index.hpp"
#include "vecrecall/files.hpp"
#include "vecrecall/index_arrays.hpp"
#include "vecrecall/ivf_index.hpp"

using namespace vecrecall;
using test::Answer;

namespace {

constexpr std::size_t kDim = 5;
constexpr std::size_t kRows = 3000;
constexpr std::size_t kQueries = 7;
constexpr std::size_t kK = 9;
// Scanned by codes, and in float32.
constexpr std::pair<Metric, bool> kKinds[] = {{Metric::kIp, true},      {Metric::kCosine, true},
                                              {Metric::kL2, true},      {Metric::kIp, false},
                                              {Metric::kCosine, false}, {Metric::kL2, false}};
constexpr Metric kMetrics[] = {Metric::kIp, Metric::kCosine, Metric::kL2};

std::vector<float> clustered(std::size_t n, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    std::vector<float> centers(20 * kDim);
    for (float& x : centers) x = 5 * normal(engine);
    std::vector<float> rows(n * kDim);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t c = engine() % 20;
        for (std::size_t j = 0; j < kDim; ++j) {
            rows[i * kDim + j] = centers[c * kDim + j] + normal(engine);
        }
    }
    return rows;
}

MatrixView view(const std::vector<float>& rows) { return {rows.data(), rows.size() / kDim, kDim}; }

// Written out, as scores are: of the centers in float64, ties by number.
std::vector<std::size_t> best_lists(const Snapshot& snapshot, const float* q) {
    const Metric metric = snapshot.metric();
    const MatrixView centers = snapshot.list_centers();
    const ArrayView<float> spreads = snapshot.list_spreads();
    const double length = std::sqrt(test::products(q, q, kDim));
    std::vector<double> scores;
    for (std::size_t i = 0; i < centers.rows; ++i) {
        const float* c = centers.row(i);
        double score = test::products(q, c, kDim);
        if (metric == Metric::kIp) {
            std::vector<double> terms(kDim);
            for (std::size_t j = 0; j < kDim; ++j)
                terms[j] = static_cast<double>(static_cast<float>(q[j] / length)) * c[j];
            score = test::lanes(terms);
        } else if (metric == Metric::kCosine) {
            score /= std::sqrt(test::products(q, q, kDim)) * std::sqrt(test::products(c, c, kDim));
        } else if (metric == Metric::kL2) {
            std::vector<double> terms(kDim);
            for (std::size_t j = 0; j < kDim; ++j) {
                const double e = static_cast<double>(q[j]) - c[j];
                terms[j] = e * e;
            }
            score = 0 - test::lanes(terms);
        }
        scores.push_back(score + (spreads.size == 0 ? 0.0 : spreads.data[i]));
    }
    std::vector<std::size_t> order(centers.rows);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return order;
}

// Whether every list is the best of the items that the query looks at.
bool as_expected(const Snapshot& snapshot, const std::vector<float>& queries,
                 const std::vector<float>& rows, std::size_t probes, int threads) {
    Answer answer(kQueries, kK);
    snapshot.search(view(queries), {.k = kK, .probes = probes, .threads = threads}, answer.out);
    std::vector<std::int64_t> lists(snapshot.size());
    snapshot.lists(lists.data());
    bool right = true;
    for (std::size_t q = 0; q < kQueries; ++q) {
        const float* query = queries.data() + q * kDim;
        const auto order = best_lists(snapshot, query);
        const auto end =
            order.begin() + static_cast<std::ptrdiff_t>(std::min(probes, order.size()));
        const std::set<std::int64_t> probed(order.begin(), end);
        auto wanted = test::expected_list(snapshot.metric(), query, {.rows = view(rows)});
        std::erase_if(wanted, [&](const test::Ranked& r) {
            const std::int64_t list = lists[static_cast<std::size_t>(r.id)];
            return list >= 0 && !probed.contains(list);
        });
        const std::size_t n = std::min(kK, wanted.size());
        right = right && static_cast<std::size_t>(answer.counts[q]) == n &&
                test::n_as_expected(answer.ids.data() + q * kK, answer.scores.data() + q * kK,
                                    wanted, n) == n;
    }
    return right;
}

}  // namespace

TEST_CASE("ivf: exact among the lists that are probed") {
    const std::vector<float> rows = clustered(kRows, 1);
    const std::vector<float> queries = clustered(kQueries, 2);
    test::on_every_isa([&] {
        for (const auto& [metric, codes] : kKinds) {
            const IVFIndex index({.rows = view(rows)}, metric,
                                 {.n_lists = 30, .codes = codes, .threads = 2});
            const std::size_t lists = index.stats().list_sizes.size();
            CHECK(lists >= 20);
            for (const std::size_t probes : {std::size_t{1}, std::size_t{4}, lists, kExactProbes}) {
                for (const int threads : {1, 3}) {
                    CHECK(as_expected(index.snapshot(), queries, rows, probes, threads));
                }
            }
        }
    });
}

TEST_CASE("ivf: updates") {
    std::vector<float> rows = clustered(kRows, 3);
    const std::vector<float> queries = clustered(kQueries, 4);
    for (const Metric metric : kMetrics) {
        std::vector<float> all = rows;
        IVFIndex index({.rows = view(rows)}, metric, {.n_lists = 30});
        for (unsigned step = 0; step < 5; ++step) {
            const std::vector<float> more = clustered(step % 2 == 0 ? 100 : 3000, 10 + step);
            index.append({.rows = view(more)});
            all.insert(all.end(), more.begin(), more.end());
            for (const std::size_t probes : {std::size_t{1}, std::size_t{7}, kExactProbes}) {
                CHECK(as_expected(index.snapshot(), queries, all, probes, 2));
            }
        }
        index.retrain();
        CHECK(index.stats().not_in_lists == 0);
        for (const std::size_t probes : {std::size_t{1}, std::size_t{7}, kExactProbes}) {
            CHECK(as_expected(index.snapshot(), queries, all, probes, 2));
        }
    }
}

TEST_CASE("ivf: given centers stay, with lists of no items") {
    const std::vector<float> rows = clustered(kRows, 8);
    const std::vector<float> queries = clustered(kQueries, 9);
    std::vector<float> centers = clustered(25, 10);
    centers.insert(centers.end(), 2 * kDim, 1e4F);  // nearest to no row
    std::vector<float> spreads(27);
    for (std::size_t i = 0; i < spreads.size(); ++i) spreads[i] = static_cast<float>(i % 5);
    test::on_every_isa([&] {
        for (const auto& [metric, codes] : kKinds) {
            std::vector<float> all = rows;
            const std::size_t n_spreads = metric == Metric::kL2 ? 0 : spreads.size();
            IVFIndex index({.rows = view(rows)}, metric,
                           {.centers = view(centers),
                            .spreads = {spreads.data(), n_spreads},
                            .probes = 3,
                            .codes = codes,
                            .threads = 2});
            const std::vector<float> more = clustered(5000, 11);
            for (int step = 0; step < 2; ++step) {
                CHECK(index.probes() == 3);
                CHECK(index.stats().list_sizes.size() == 27);
                CHECK(index.snapshot().list_spreads().size == n_spreads);
                for (const std::size_t probes : {std::size_t{1}, std::size_t{26}, kExactProbes}) {
                    for (const int threads : {2, 7}) {  // the second: a query each
                        CHECK(as_expected(index.snapshot(), queries, all, probes, threads));
                    }
                }
                if (step > 0) continue;
                index.append({.rows = view(more)});
                index.compact();
                all.insert(all.end(), more.begin(), more.end());
            }
        }
    });
    const std::vector<float> narrow(4);
    CHECK_THROWS_AS(IVFIndex({.rows = view(rows)}, Metric::kIp, {.centers = {narrow.data(), 1, 4}}),
                    std::invalid_argument);
    const auto refused = [&](Metric metric, std::vector<float> wrong) {
        CHECK_THROWS_AS(
            IVFIndex({.rows = view(rows)}, metric,
                     {.centers = view(centers), .spreads = {wrong.data(), wrong.size()}}),
            std::invalid_argument);
    };
    refused(Metric::kL2, spreads);
    refused(Metric::kIp, std::vector<float>(26));
    refused(Metric::kIp, std::vector<float>(27, -1.0F));
    refused(Metric::kCosine, std::vector<float>(27, std::nanf("")));
}

TEST_CASE("ivf: the default is tuned, and kept by parts and files") {
    const std::vector<float> rows = clustered(kRows, 5);
    IVFIndex index({.rows = view(rows)}, Metric::kL2, {.n_lists = 30});
    CHECK(index.probes() >= 1);
    const std::size_t all = index.tune(view(rows), 1.0);
    const std::size_t few = index.tune(view(rows), 0.5);
    CHECK(few < all);
    CHECK(index.probes() == few);
    const Snapshot whole = index.snapshot();
    const IVFIndex again(whole.parts());
    CHECK(again.probes() == few);
    CHECK(as_expected(again.snapshot(), clustered(kQueries, 6), rows, 2, 1));
    CHECK_THROWS_AS(FlatIndex{whole.parts()}, std::invalid_argument);
    const FlatIndex flat({.rows = view(rows)}, Metric::kL2);
    const Snapshot without = flat.snapshot();
    CHECK_THROWS_AS(IVFIndex{without.parts()}, std::invalid_argument);
}

TEST_CASE("ivf: damaged lists are refused") {
    const std::vector<float> rows = clustered(kRows, 7);
    const IVFIndex index({.rows = view(rows)}, Metric::kIp, {.n_lists = 30});
    const Snapshot whole = index.snapshot();
    const IndexArrays good = whole.parts();
    std::vector<std::uint32_t> sizes(good.list_sizes.data,
                                     good.list_sizes.data + good.list_sizes.size);
    std::vector<std::int64_t> settings(good.list_settings.data,
                                       good.list_settings.data + good.list_settings.size);
    std::vector<float> centers(good.list_centers.data,
                               good.list_centers.data + good.list_centers.size);
    std::vector<float> spreads(good.list_spreads.data,
                               good.list_spreads.data + good.list_spreads.size);
    const auto refused = [&](const auto& damage) {
        IndexArrays parts = good;
        const auto s = sizes;
        const auto t = settings;
        const auto c = centers;
        const auto w = spreads;
        damage();
        parts.list_sizes = {sizes.data(), sizes.size()};
        parts.list_settings = {settings.data(), settings.size()};
        parts.list_centers = {centers.data(), centers.size()};
        parts.list_spreads = {spreads.data(), spreads.size()};
        CHECK_THROWS_AS(IVFIndex{parts}, std::invalid_argument);
        sizes = s;
        settings = t;
        centers = c;
        spreads = w;
    };
    refused([&] { ++sizes[3]; });
    refused([&] { sizes[3] = 0; });
    refused([&] { sizes[3] = 0xFFFFFFFFU; });
    refused([&] { sizes.pop_back(); });
    refused([&] { sizes.assign(kRows, 1); });  // fits the rows, but nothing else
    refused([&] { settings[3] = 0; });
    refused([&] { settings[0] = -1; });
    refused([&] { settings.pop_back(); });
    refused([&] { centers.pop_back(); });
    refused([&] { centers[4] = std::nanf(""); });
    refused([&] { spreads.pop_back(); });
    refused([&] { spreads[4] = std::nanf(""); });
    refused([&] { spreads[4] = -1; });
}

TEST_CASE("ivf: saved files") {
    const std::vector<float> rows = clustered(kRows, 8);
    const std::vector<float> queries = clustered(kQueries, 9);
    IVFIndex index({.rows = view(rows)}, Metric::kCosine, {.n_lists = 30});
    index.tune(view(queries), 0.9);
    const Snapshot whole = index.snapshot();
    const test::Folder folder;
    const test::SavedArrays arrays = test::saved_arrays(whole.parts());
    const std::string turn = "0123456789ab";
    for (const auto& [name, array] : arrays) {
        std::string file = name;
        file += '-';
        file += turn;
        file += ".npy";
        test::write_file(folder.path() / file, test::npy(array));
    }
    std::string manifest = test::manifest_text(arrays, "cosine", "float32", turn);
    test::write_file(folder.path() / "manifest.json", manifest);
    CHECK_THROWS_WITH_AS(load_ivf_index(folder.path()),
                         doctest::Contains("expected a saved IVFIndex, got \"FlatIndex\""),
                         std::invalid_argument);
    const std::string flat = "\"FlatIndex\"";
    manifest.replace(manifest.find(flat), flat.size(), "\"IVFIndex\"");
    test::write_file(folder.path() / "manifest.json", manifest);
    for (const Access access : {Access::kMap, Access::kRead}) {
        const IVFIndex loaded = load_ivf_index(folder.path(), access);
        CHECK(loaded.probes() == index.probes());
        for (const std::size_t probes : {std::size_t{2}, kExactProbes}) {
            CHECK(as_expected(loaded.snapshot(), queries, rows, probes, 2));
        }
    }
    CHECK_THROWS_WITH_AS(load_flat_index(folder.path()),
                         doctest::Contains("expected a saved FlatIndex, got \"IVFIndex\""),
                         std::invalid_argument);
}
