// Exact top-K by inner product, cosine or squared Euclidean distance over all items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "vecrecall/views.hpp"

namespace vecrecall {

enum class Metric { kIp, kCosine, kL2 };

// What an index is made of. Rows must be finite and, under cosine, not all zero.
struct ItemsView {
    MatrixView rows;
    const std::int64_t* ids = nullptr;  // unique, >= 0; null for 0 .. n-1
    const double* bias = nullptr;       // finite, added to each item's score; null for none
};

struct BuildOptions {
    // false: the rows are borrowed, as they lie; they must outlive the index and not change
    bool copy = true;
    bool codes = true;  // false: no int8 codes; searches scan the rows, in float32
    int threads = 0;    // 0: the library's default
};

struct SearchOptions {
    std::size_t k = 10;
    // Ids that the query must not get, one row a query; values null for none.
    RaggedView<std::int64_t> exclude;
    // Per query a bit per row, in words of 64, from FlatIndex::rows_of; null for all rows.
    const std::uint64_t* const* allow = nullptr;
    double min_score = -std::numeric_limits<double>::infinity();
    int threads = 0;  // 0: the library's default
};

struct SearchStats {
    std::uint64_t items_scanned = 0;  // summed over the queries
    std::uint64_t rows_rescored = 0;  // summed over the queries
    const char* precision = "none";   // of the scan
};

class FlatIndex {
  public:
    // Throws std::invalid_argument for ids that repeat or are negative.
    FlatIndex(const ItemsView& items, Metric metric, const BuildOptions& options = {});
    ~FlatIndex();
    FlatIndex(FlatIndex&&) noexcept;
    FlatIndex& operator=(FlatIndex&&) noexcept;

    std::size_t size() const;
    std::size_t dim() const;
    Metric metric() const;

    // The k best items of every query, scores descending, then ids ascending. Bits depend on the
    // query and the items alone. A zero query under cosine gets an empty list. Queries are finite.
    SearchStats search(const MatrixView& queries, const SearchOptions& options,
                       const ListsOut& out) const;

    // Scores of candidate ids, one row of `scores` a query; an unknown id scores -inf.
    void score(const MatrixView& queries, const RaggedView<std::int64_t>& candidates, float* scores,
               int threads = 0) const;

    // In the order given.
    void ids(std::int64_t* out) const;
    // The row of each id, or -1. An index that owns its rows may keep them in an order of its own.
    void find(const std::int64_t* ids, std::size_t n, std::int64_t* rows) const;
    const float* row(std::size_t i) const;

    // A bit per row for a set of ids (or for all the others); unknown ids are left aside.
    std::vector<std::uint64_t> rows_of(const std::int64_t* ids, std::size_t n,
                                       bool complement) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The same answer as an index over `items` would give; nothing is kept.
SearchStats topk(const MatrixView& queries, const ItemsView& items, Metric metric, std::size_t k,
                 const ListsOut& out, int threads = 0);

}  // namespace vecrecall
