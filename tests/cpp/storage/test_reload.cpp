// An index that is loaded again, swapped and updated while threads search it.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data.hpp"
#include "expected.hpp"
#include "saved_index.hpp"
#include "vecrecall/files.hpp"

using namespace vecrecall;

namespace {

constexpr std::size_t kDim = 4;
constexpr std::size_t kRows = 2500;
constexpr std::size_t kLength = 20;
constexpr std::int64_t kVersions = 1000;  // ids of version v are v, v + kVersions, ...

FlatIndex version(std::int64_t v) {
    const auto rows = test::gaussian(kRows * kDim, static_cast<unsigned>(v));
    std::vector<std::int64_t> ids(kRows);
    for (std::size_t i = 0; i < kRows; ++i) ids[i] = v + kVersions * static_cast<std::int64_t>(i);
    return {{.rows = {rows.get(), kRows, kDim}, .ids = ids.data()}, Metric::kL2};
}

// Shared by the searches: the current index.
class Handle {
  public:
    explicit Handle(std::shared_ptr<FlatIndex> index) : index_(std::move(index)) {}

    std::shared_ptr<FlatIndex> get() const {
        const std::lock_guard lock(mutex_);
        return index_;
    }
    void set(std::shared_ptr<FlatIndex> index) {
        const std::lock_guard lock(mutex_);
        index_.swap(index);
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<FlatIndex> index_;
};

// Every list is full, in order and of one version, scored as that index scores it.
void read(const Handle& handle, unsigned seed, const std::atomic<bool>& stop,
          std::atomic<int>& rounds) {
    while (!stop) {
        const auto q = test::gaussian(kDim, ++seed);
        const std::shared_ptr<FlatIndex> index = handle.get();
        const Snapshot now = index->snapshot();
        test::Answer answer(1, kLength);
        now.search({q.get(), 1, kDim}, {.k = kLength, .threads = 1 + static_cast<int>(seed % 2)},
                   answer.out);
        CHECK(answer.counts[0] == kLength);
        for (const std::int64_t id : answer.ids) {
            CHECK(id % kVersions == answer.ids[0] % kVersions);
        }
        const std::int64_t offsets[] = {0, kLength};
        std::vector<float> scores(kLength);
        now.score({q.get(), 1, kDim}, {answer.ids.data(), offsets, 1}, scores.data());
        CHECK(scores == answer.scores);
        ++rounds;
    }
}

// Removes some items and adds others with their ids.
void change(FlatIndex& index, std::int64_t v) {
    constexpr std::size_t kSome = 150;
    const auto rows = test::gaussian(kSome * kDim, static_cast<unsigned>(v) + 7);
    std::vector<std::int64_t> ids(kSome);
    for (std::size_t i = 0; i < kSome; ++i) {
        ids[i] = v + kVersions * static_cast<std::int64_t>(i * 16);
    }
    index.remove(ids.data(), kSome);
    index.add({.rows = {rows.get(), kSome, kDim}, .ids = ids.data()});
    if (v % 3 == 0) index.compact();
}

// Each version is saved over the last one, which is mapped and searched.
TEST_CASE("reload: versions during searches") {
    const test::Folder folder;
    constexpr int kSteps = 30;
    test::save(version(0), "l2", "000000000000", folder.path());
    Handle handle(std::make_shared<FlatIndex>(load_flat_index(folder.path())));
    std::atomic<bool> stop{false};
    std::atomic<int> rounds{0};
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < 3; ++t) {
        readers.emplace_back([&, t] { read(handle, 1000 * t, stop, rounds); });
    }
    for (int v = 1; v <= kSteps || rounds < 100; ++v) {
        const std::int64_t which = v % kVersions;
        char turn[13];
        std::snprintf(turn, sizeof(turn), "%012x", static_cast<unsigned>(v));
        test::save(version(which), "l2", turn, folder.path());
        const Access access = v % 2 == 0 ? Access::kMap : Access::kRead;
        handle.set(std::make_shared<FlatIndex>(load_flat_index(folder.path(), access)));
        change(*handle.get(), which);
        CHECK(handle.get()->size() == kRows);
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
}

// A load sees one save or the next, and never a part of each.
TEST_CASE("reload: loads during saves") {
    const test::Folder folder;
    const FlatIndex versions[] = {version(0), version(1)};
    test::save(versions[0], "l2", "000000000000", folder.path());
    std::atomic<bool> stop{false};
    std::atomic<int> saves{0};
    std::thread saver([&] {
        for (; !stop; ++saves) {
            char turn[13];
            std::snprintf(turn, sizeof(turn), "%012x", static_cast<unsigned>(saves + 1));
            test::save(versions[(saves + 1) % 2], "l2", turn, folder.path());
        }
    });
    for (int round = 0; round < 200 || saves < 50; ++round) {
        const FlatIndex index = load_flat_index(folder.path(), Access::kMap);
        test::Answer found(1, kLength);
        const auto q = test::gaussian(kDim, static_cast<unsigned>(round));
        index.search({q.get(), 1, kDim}, {.k = kLength}, found.out);
        test::Answer wanted(1, kLength);
        versions[found.ids[0] % kVersions].search({q.get(), 1, kDim}, {.k = kLength}, wanted.out);
        CHECK((found.ids == wanted.ids && found.scores == wanted.scores));
    }
    stop = true;
    saver.join();
}

}  // namespace
