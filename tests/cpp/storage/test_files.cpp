// A saved index answers as the one that was saved; whatever else is in a folder is an exception of
// the kinds that the header names, or an index that reads no memory but its own.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "saved_index.hpp"
#include "storage/json.hpp"
#include "storage/manifest.hpp"
#include "vecrecall/files.hpp"

using namespace vecrecall;
using test::Answer;
using test::Folder;
using test::read_file;
using test::write_file;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDim = 3;
constexpr std::size_t kOrdered = 7 * 2048 + 1;  // the fewest rows that are kept by length
const std::string kTurn = "0123456789ab";
const Access kBoth[] = {Access::kMap, Access::kRead};

const char* name_of(Metric metric) {
    return metric == Metric::kIp ? "ip" : metric == Metric::kL2 ? "l2" : "cosine";
}

FlatIndex make_index(Metric metric, std::size_t n) {
    const auto rows = test::gaussian(n * kDim, 1);
    std::vector<std::int64_t> ids(n);
    std::vector<double> bias(n);
    for (std::size_t i = 0; i < n; ++i) {
        ids[i] = static_cast<std::int64_t>(3 * (n - i));
        bias[i] = static_cast<double>(i % 5);
        const auto length = static_cast<float>(1 + i % 100 * (i % 100));
        for (std::size_t j = 0; j < kDim; ++j) rows[i * kDim + j] *= length;
    }
    return {{.rows = {rows.get(), n, kDim}, .ids = ids.data(), .bias = bias.data()}, metric};
}

Answer search(const FlatIndex& index, std::size_t queries, std::size_t k) {
    const auto q = test::gaussian(queries * index.dim(), 2);
    Answer answer(queries, k);
    index.search({q.get(), queries, index.dim()}, {.k = k}, answer.out);
    return answer;
}

void check_same(const FlatIndex& a, const FlatIndex& b) {
    CHECK((a.size() == b.size() && a.metric() == b.metric() && a.dim() == b.dim()));
    for (const std::size_t k : {10, 400}) {
        const Answer x = search(a, 8, k);
        const Answer y = search(b, 8, k);
        CHECK((x.ids == y.ids && x.counts == y.counts));
        CHECK(std::memcmp(x.scores.data(), y.scores.data(), x.scores.size() * sizeof(float)) == 0);
    }
    std::vector<std::int64_t> x(a.size());
    std::vector<std::int64_t> y(b.size());
    a.snapshot().ids(x.data());
    b.snapshot().ids(y.data());
    CHECK(x == y);
}

void check_round_trip(Metric metric, std::size_t n, Access access) {
    const Folder folder;
    FlatIndex index = make_index(metric, n);
    test::save(index, name_of(metric), kTurn, folder.path());
    const std::string rows = read_file(folder.path() / ("rows-" + kTurn + ".npy"));
    FlatIndex loaded = load_flat_index(folder.path(), access);
    check_same(loaded, index);
    const auto more = test::gaussian(5 * kDim, 3);
    const std::int64_t ids[] = {3, 6, 1, 2, 4};
    for (FlatIndex* one : {&index, &loaded}) {
        one->update({.rows = {more.get(), 5, kDim}, .ids = ids});
        one->remove(ids, 2);
    }
    check_same(loaded, index);
    CHECK(read_file(folder.path() / ("rows-" + kTurn + ".npy")) == rows);
    test::save(loaded, name_of(metric), "ffffffffffff", folder.path());
    check_same(loaded, index);  // whose files are gone
    check_same(load_flat_index(folder.path().string(), access), index);
    loaded.compact();
    check_same(loaded, index);
}

TEST_CASE("files: round trips") {
    for (const Access access : kBoth) {
        for (const Metric metric : {Metric::kIp, Metric::kCosine, Metric::kL2}) {
            check_round_trip(metric, 100, access);
        }
        check_round_trip(Metric::kL2, kOrdered, access);
        const Folder folder;
        const FlatIndex empty({.rows = {nullptr, 0, kDim}}, Metric::kCosine);
        test::save(empty, "cosine", kTurn, folder.path());
        check_same(load_flat_index(folder.path(), access), empty);
    }
}

// In memory of exactly its size.
template <class Use>
auto exactly(std::string_view text, Use use) {
    const auto copy = std::make_unique<char[]>(text.size());
    std::copy(text.begin(), text.end(), copy.get());
    return use(std::string_view(copy.get(), text.size()));
}

TEST_CASE("files: JSON") {
    using storage::Json;
    const std::string text =
        R"( {"a":[1,-0 ,9223372036854775807,9223372036854775808,2.5,-1e+7],"":{},"b":"\u0041\n\\",)"
        R"("c":[ ],"d":[true,false,null,[[]],{"a":{"a":1}}]} )";
    const Json json = storage::parse_json(text);
    const std::vector<Json>& a = json.find("a")->values;
    CHECK((a.size() == 6 && a[0].integer == 1 && a[1].integer == 0 && a[2].integer == INT64_MAX));
    for (std::size_t i = 0; i < a.size(); ++i) {
        CHECK(a[i].kind == (i < 3 ? Json::Kind::kInteger : Json::Kind::kReal));
    }
    CHECK((a[5].text == "-1e+7" && json.find("b")->string == "A\n\\"));
    CHECK((json.find("")->kind == Json::Kind::kObject && json.find("e") == nullptr));
    CHECK((a[0].find("a") == nullptr && json.find("c")->values.empty()));
    for (std::size_t n = 0; n + 1 < text.size(); ++n) {
        CHECK_THROWS_AS(exactly(text.substr(0, n), storage::parse_json), std::invalid_argument);
    }
    const std::string nul("\"\0\"", 3);
    for (const std::string& bad : {std::string("[1,]"),
                                   std::string("{\"a\":1,}"),
                                   std::string("{\"a\":1,\"\\u0061\":2}"),
                                   std::string("01"),
                                   std::string("1."),
                                   std::string("-"),
                                   std::string("1e"),
                                   std::string("+1"),
                                   std::string("NaN"),
                                   std::string("Infinity"),
                                   std::string("tru"),
                                   std::string("\"\\x\""),
                                   std::string("\"\\u12\""),
                                   std::string("\"\\u12g4\""),
                                   std::string("\"\\u-123\""),
                                   std::string("\"\n\""),
                                   std::string("\"\x80\""),
                                   nul,
                                   std::string("{1:2}"),
                                   std::string("{\"a\"}"),
                                   std::string("[1 2]"),
                                   std::string("1 2"),
                                   std::string("'a'"),
                                   std::string("[1}"),
                                   std::string("//"),
                                   std::string("\xEF\xBB\xBF{}"),
                                   std::string(100000, '['),
                                   std::string("{\"a\":") + std::string(100000, '[')}) {
        CHECK_THROWS_AS(exactly(bad, storage::parse_json), std::invalid_argument);
    }
}

std::string message_of(const fs::path& folder, Access access) {
    try {
        load_flat_index(folder, access);
    } catch (const std::invalid_argument& error) {
        return error.what();
    } catch (const std::system_error& error) {
        return "system: " + std::string(error.what());
    }
    return "none";
}

#define CHECK_REFUSED(folder, words)                                                          \
    do {                                                                                      \
        for (const Access access : kBoth) {                                                   \
            const std::string message = message_of(folder, access);                           \
            CHECK_MESSAGE(message.find(words) != std::string::npos, std::string(words), ": ", \
                          message);                                                           \
        }                                                                                     \
    } while (false)

// A small saved index, and the texts and files of it to damage.
struct Saved {
    Folder folder;
    fs::path path = folder.path();
    std::string manifest;

    explicit Saved(Metric metric = Metric::kL2) {
        test::save(make_index(metric, 40), name_of(metric), kTurn, path);
        manifest = read_file(path / "manifest.json");
    }

    void put(const std::string& text) const { write_file(path / "manifest.json", text); }
    std::string with(const std::string& from, const std::string& to) const {
        std::string text = manifest;
        const std::size_t at = text.find(from);
        CHECK(at != std::string::npos);
        return text.replace(at, from.size(), to);
    }
};

TEST_CASE("files: damaged manifests") {
    const Saved saved;
    for (std::size_t n = 0; n + 2 < saved.manifest.size(); ++n) {
        saved.put(saved.manifest.substr(0, n));
        CHECK_REFUSED(saved.path, "path: expected a JSON manifest, got no ");
        CHECK_THROWS_AS(
            exactly(saved.manifest.substr(0, n),
                    [&](auto text) { return storage::parse_manifest(text, "FlatIndex", ""); }),
            std::invalid_argument);
    }
    const struct {
        const char *from, *to, *words;
    } kChanges[] = {
        {"\"FlatIndex\"", "\"ClusterFeed\"", "expected a saved FlatIndex, got \"ClusterFeed\" in "},
        {"\"kind\"", "\"king\"", "expected a saved FlatIndex, got none in "},
        {"\"format\": 6", "\"format\": 2", "expected format 6, got 2 in "},
        {"\"format\": 6", "\"format\": 6.0", "expected format 6, got 6.0 in "},
        {"\"format\": 6", "\"format\": \"4\"", "expected format 6, got \"4\" in "},
        {"\"l2\"", "\"l3\"", "expected one of \"ip\", \"cosine\", \"l2\", got \"l3\" in "},
        {"\"l2\"", "[]", "expected one of \"ip\", \"cosine\", \"l2\", got [] in "},
        {"\"arrays\"", "\"array\"", "expected a manifest with arrays, got none in "},
        {"\"kind\"", "\"format\": 6, \"kind\"", "got a repeated name at byte "},
        {"\"rows\"", "\"ids\"", "got a repeated name at byte "},
        {"\"rows\"", "\"cows\"", "expected an array of an index, got {    \"file\": \"rows-"},
        {"\"file\": ", "\"fill\": ", "expected file, dtype, shape and checksum for bias, got {"},
        {"\"file\": ", "\"a\": 1, \"file\": ", "expected file, dtype, shape and checksum for bias"},
        {"\"bias\": {", "\"bias\": 5, \"order\": {",
         "expected file, dtype, shape and checksum for"},
        {"\"bias-0123456789ab.npy\"", "\"../bias-0123456789ab.npy\"",
         "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"bias-0123456789ab.npyx\"", "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"bias-0123456789a.npy\"", "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"bias-0123456789a\"", "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"-0123456789ab.npy\"", "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"/0123456789ab.npy\"", "expected the name of a file"},
        {"\"bias-0123456789ab.npy\"", "\"bias-0123456789ab\\u0000npy\"", "the name of a file"},
        {"\"bias-0123456789ab.npy\"", "7", "expected the name of a file for bias, got 7 in "},
        {"\"bias-0123456789ab.npy\"", "\"ids-0123456789ab.npy\"",
         "expected the header of an array"},
        {"\"bias-0123456789ab.npy\"", "\"bias-000000000000.npy\"", "system: "},
        {"\"<f8\"", "\"<i8\"", "expected dtype <f8 for bias, got \"<i8\" in "},
        {"\"<f8\"", "null", "expected dtype <f8 for bias, got null in "},
        {"[40]", "[39]", "expected 440 bytes, got 448 in "},
        {"[40]", "[-1]", "expected a shape of 1 axes for bias, got [-1] in "},
        {"[40]", "[]", "expected a shape of 1 axes for bias, got [] in "},
        {"[40]", "[40, 1]", "expected a shape of 1 axes for bias, got [40, 1] in "},
        {"[40]", "[40.0]", "expected a shape of 1 axes for bias, got [40.0] in "},
        {"[40]", "[9223372036854775807]", "expected 18446744073709551615 bytes, got 448 in "},
        {"[40]", "[9223372036854775808]", "expected a shape of 1 axes for bias, got [922"},
        {"[40, 3]", "[4611686018427387904, 4]", "expected 18446744073709551615 bytes, got 608"},
        {"[40, 3]", "[4611686018427387904, 0]", "expected 128 bytes, got 608 in "},
        {"[40, 3]", "[3, 40]", "expected the header of an array <f4 (3, 40), got another in "},
        {"\"checksum\": \"00000000000000000000000000000000\"", "\"checksum\": 0",
         "expected a checksum for bias, got 0 in "},
        {" },\n \"checksum\": \"00000000000000000000000000000000\"", " }",
         "expected a checksum, got none in "},
    };
    for (const auto& change : kChanges) {
        saved.put(saved.with(change.from, change.to));
        CHECK_REFUSED(saved.path, change.words);
    }
    for (const char* name : {"rows", "center", "block_bounds", "skipped"}) {
        std::string text = saved.manifest;
        const std::size_t at = text.find("\"" + std::string(name) + "\": {");
        text.erase(at, text.find('}', at) + 1 - at);
        if (const std::size_t last = text.find(",\n  \n }"); last != std::string::npos)
            text.erase(last, 1);
        if (const std::size_t two = text.find("  ,\n"); two != std::string::npos)
            text.erase(two, 4);
        saved.put(text);
        CHECK_REFUSED(saved.path, "path: expected an array " + std::string(name) + ", got {");
    }
    saved.put(saved.manifest + std::string(1 << 20, ' '));
    CHECK_REFUSED(saved.path, "path: expected a manifest of at most 1048576 bytes, got 105");
    saved.put("[1]");
    CHECK_REFUSED(saved.path, "path: expected a manifest with names, got [1] in ");
    saved.put(saved.manifest);
    CHECK_REFUSED(saved.path, "none");
}

TEST_CASE("files: damaged files") {
    const Saved saved;
    std::vector<fs::path> all;
    for (const auto& file : fs::directory_iterator(saved.path)) all.push_back(file.path());
    CHECK(all.size() == 10);  // no order in so small an index
    for (const fs::path& file : all) {
        const std::string content = read_file(file);
        const std::string name = file.filename().string();
        fs::remove(file);
        CHECK_REFUSED(saved.path, "system: " + file.string() + ": No such file or directory");
        fs::create_directory(file);
        CHECK_REFUSED(saved.path,
                      "path: expected a regular file, got something else: " + file.string());
        fs::remove(file);
        CHECK(mkfifo(file.c_str(), 0600) == 0);
        CHECK_REFUSED(saved.path,
                      "path: expected a regular file, got something else: " + file.string());
        fs::remove(file);
        fs::create_symlink(file, file);
        CHECK_REFUSED(saved.path, "system: " + file.string());
        fs::remove(file);
        if (name != "manifest.json") {
            for (const std::size_t n : {std::size_t{0}, std::size_t{5}, content.size() - 1}) {
                write_file(file, content.substr(0, n));
                CHECK_REFUSED(saved.path, "path: expected " + std::to_string(content.size()) +
                                              " bytes, got " + std::to_string(n) + " in " +
                                              file.string());
            }
            write_file(file, content + '\0');
            CHECK_REFUSED(saved.path, " bytes, got ");
            for (std::size_t at = 0; at < 128; ++at) {
                std::string changed = content;
                changed[at] ^= 1;
                write_file(file, changed);
                CHECK_REFUSED(saved.path, "path: expected the header of an array");
            }
        }
        write_file(file, content);
    }
    CHECK_REFUSED(saved.path, "none");
    CHECK_REFUSED(saved.path / "nothing", "system: ");
    CHECK_REFUSED(all.front(), "system: ");
}

// Values that fit the files but not the index.
TEST_CASE("files: arrays that make no index") {
    const Saved saved;
    const fs::path center = saved.path / ("center-" + kTurn + ".npy");
    const std::string kept = read_file(center);
    std::string changed = kept;
    changed.replace(128, 4, "\xff\xff\xff\xff");
    write_file(center, changed);
    CHECK_REFUSED(saved.path, "path: expected a whole index in " + saved.path.string() +
                                  ", got center: expected finite values, got ");
    write_file(center, kept);
    const test::SavedArray none{.dtype = "<f8", .shape = "0", .bytes = ""};
    write_file(saved.path / ("bias-" + kTurn + ".npy"), test::npy(none));
    saved.put(saved.with("[40]", "[0]"));  // the bias is the first of them
    for (const Access access : kBoth) {
        const FlatIndex index = load_flat_index(saved.path, access);
        CHECK(!index.snapshot().has_bias());
        search(index, 2, 40);
    }
    const test::SavedArray flat{.dtype = "<f4", .shape = "40, 0", .bytes = ""};
    write_file(saved.path / ("rows-" + kTurn + ".npy"), test::npy(flat));
    const std::string text = read_file(saved.path / "manifest.json");
    saved.put(std::string(text).replace(text.find("[40, 3]"), 7, "[40, 0]"));
    CHECK_REFUSED(saved.path, ", got rows: expected at least one column, got none");
}

// Rounds of random changes, mostly small ones that leave much as it should be.
class Damage {
  public:
    explicit Damage(unsigned seed) : engine_(seed) {}

    std::size_t below(std::size_t n) { return engine_() % n; }

    std::string of(std::string text, std::size_t first, std::size_t last) {
        static constexpr std::string_view kLikely = "\"\\{}[],:0123456789-.eEu \n\x80\xff";
        for (std::size_t changes = 1 + below(3); changes > 0 && first < last; --changes) {
            const std::size_t at = first + below(last - first);
            const char c = below(2) == 0 ? kLikely[below(kLikely.size())]
                                         : static_cast<char>(engine_() & 0xFF);
            const std::size_t kind = below(8);
            if (kind == 0) text.erase(at, 1 + below(9));
            else if (kind == 1) text.insert(at, 1 + below(9), c);
            else if (kind == 2)
                text.insert(at, text.substr(first + below(last - first), below(40)));
            else if (kind < 5) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
            else text[at] = c;
            last = std::min(last, text.size());
        }
        return text;
    }

  private:
    std::mt19937 engine_;
};

void check_random_damage(Metric metric) {
    const Saved saved(metric);
    std::vector<fs::path> all;
    for (const auto& file : fs::directory_iterator(saved.path)) all.push_back(file.path());
    std::sort(all.begin(), all.end());
    Damage damage(static_cast<unsigned>(metric) + 1);
    int refused = 0;
    constexpr int kRounds = 3000;
    for (int round = 0; round < kRounds; ++round) {
        const bool manifest = round % 2 == 0;
        const fs::path& file =
            manifest ? saved.path / "manifest.json" : all[damage.below(all.size())];
        const std::string content = read_file(file);
        const std::size_t first =
            !manifest && round % 4 == 1 ? std::min(content.size(), std::size_t{128}) : 0;
        write_file(file, damage.of(content, first, content.size()));
        try {
            search(load_flat_index(saved.path, kBoth[round / 2 % 2]), 2, 50);
        } catch (const std::invalid_argument&) {
            ++refused;
        } catch (const std::system_error&) {
            ++refused;
        }
        write_file(file, content);
    }
    std::printf("%s: %d of %d refused\n", name_of(metric), refused, kRounds);
    CHECK((refused > kRounds / 4 && refused < kRounds));
    CHECK_REFUSED(saved.path, "none");
}

// A relative folder is the one that it was when the load began; one that is gone is an error.
TEST_CASE("files: relative folders") {
    const Folder folder;
    const FlatIndex index = make_index(Metric::kIp, 10);
    test::save(index, "ip", kTurn, folder.path());
    const fs::path before = fs::current_path();
    fs::current_path(folder.path());
    for (const char* name : {"", ".", "./."}) check_same(load_flat_index(name), index);
    const fs::path gone = folder.path() / "gone";
    fs::create_directory(gone);
    fs::current_path(gone);
    fs::remove(gone);
    check_same(load_flat_index(folder.path()), index);
    bool refused = false;
    try {
        load_flat_index(".");
    } catch (const std::system_error&) {
        refused = true;
    }
    CHECK(refused);
    fs::current_path(before);
}

TEST_CASE("files: random damage") {
    for (const Metric metric : {Metric::kIp, Metric::kCosine, Metric::kL2}) {
        check_random_damage(metric);
    }
}

}  // namespace
