// Top-K over lists of items, of which a search looks at the most promising: an inverted file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "vecrecall/flat_index.hpp"

namespace vecrecall {

struct IVFOptions {
    // Into how many lists; at most one per item, and 2^24; 0: about 4 sqrt(n), with 128 items each
    // at least
    std::size_t n_lists = 0;
    std::uint64_t seed = 0;  // below 2^63; of the k-means that makes the lists
    // One row per list, finite: no k-means then. Lists stay as they are given, empty ones too, so
    // that parts of the items in indexes of their own have the same ones. No rows: trained.
    MatrixView centers = {nullptr, 0, 0};
    // Of the given centers, one per list, finite and >= 0, 0 under l2; none: zeros.
    ArrayView<float> spreads = {};
    std::size_t probes = 0;  // of a search that does not say it; 0: by a sample of the items
    bool codes = true;       // as of BuildOptions
    int threads = 0;         // 0: the library's default
    // Called by the building thread with how much is done, of how much.
    std::function<void(std::size_t done, std::size_t total)> progress = nullptr;
};

struct IVFStats {
    std::vector<std::uint32_t> list_sizes;  // items, as the lists were made; 0 in given ones only
    std::size_t not_in_lists = 0;           // items added since, which every search looks at
    std::size_t n_items = 0;
};

// A FlatIndex whose items are in lists, each around a center. A search looks at the most promising
// lists (SearchOptions::probes of them) and at all items that were added since the lists were made;
// its answer is the exact one among these. All else is as of FlatIndex.
//
// The most promising are those with the best sum of two: the score of the center, under ip for the
// query at length one, and the list's spread, which is 0 under l2.
//
// Updates put added items into lists once they are many; then lists that have become more than four
// times as long as the average are split. Where n_lists is 0 and the items have become four times
// as many, lists and default are made again.
class IVFIndex : public FlatIndex {
  public:
    // See FlatIndex. Throws std::invalid_argument for parts without lists.
    explicit IVFIndex(const IndexArrays& parts, std::shared_ptr<const void> owner = nullptr);
    // The rows are copied. Throws std::invalid_argument for ids that repeat or are negative.
    IVFIndex(const ItemsView& items, Metric metric, const IVFOptions& options = {});

    IVFStats stats() const;
    // How many lists a search probes that does not say it. At first as many as hold 95 % of the 10
    // best others of a sample of the items.
    std::size_t probes() const;
    // Sets that to the fewest lists that hold the share `recall` of the k best items of the
    // queries, and returns it.
    std::size_t tune(const MatrixView& queries, double recall, std::size_t k = 10, int threads = 0);
    // Makes all lists again, from the items of this moment, and the default too.
    void retrain(int threads = 0,
                 const std::function<void(std::size_t, std::size_t)>& progress = nullptr);
};

}  // namespace vecrecall
