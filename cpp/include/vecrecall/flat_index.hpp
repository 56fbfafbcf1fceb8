// Exact top-K by inner product, cosine or squared Euclidean distance over all items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "vecrecall/growing_array.hpp"
#include "vecrecall/views.hpp"

namespace vecrecall {

enum class Metric { kIp, kCosine, kL2 };

// The items of an index, which keeps rows in the type that they have. Rows must be finite and,
// under cosine, not all zero.
struct ItemsView {
    RowsView rows;
    const std::int64_t* ids = nullptr;  // unique, >= 0; null for 0 .. n-1
    const double* bias = nullptr;       // finite, added to each item's score; null for none
};

struct BuildOptions {
    // false: the rows are borrowed, as they lie; they must not change, and must outlive the index
    // and its snapshots, unless `owner` keeps them
    bool copy = true;
    bool codes = true;  // false: no int8 codes; searches scan the rows, in float32
    int threads = 0;    // 0: the library's default
    std::shared_ptr<const void> owner = nullptr;  // of borrowed rows, let go once they are not used
};

struct IndexArrays;

namespace search {
class Items;
}

// A set of ids, or of all ids but those. Which rows they are is worked out at a search, and kept
// until the index changes. Safe from many threads.
class IdMask {
  public:
    IdMask(const std::int64_t* ids, std::size_t n, bool complement = false);
    ~IdMask();
    IdMask(IdMask&&) noexcept;
    IdMask& operator=(IdMask&&) noexcept;

    // For the search: a bit per row.
    std::shared_ptr<const std::vector<std::uint64_t>> rows_in(const search::Items& items) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// How many lists each query probes, of an index that has lists.
inline constexpr std::size_t kDefaultProbes = 0;  // as many as the index has been tuned to
inline constexpr std::size_t kExactProbes = std::numeric_limits<std::size_t>::max();

struct SearchOptions {
    std::size_t k = 10;
    // Ids that the query must not get, one row per query; values null for none.
    RaggedView<std::int64_t> exclude;
    const IdMask* const* allow = nullptr;  // one per query: the only ids it may get; null for all
    double min_score = -std::numeric_limits<double>::infinity();
    std::size_t probes = kDefaultProbes;
    int threads = 0;  // 0: the library's default
};

struct SearchStats {
    std::uint64_t items_scanned = 0;  // summed over the queries
    std::uint64_t rows_reranked = 0;  // summed over the queries
    const char* precision = "none";   // of the scan
    // Of an index that has lists, summed over the queries.
    std::uint64_t lists_probed = 0;
    std::uint64_t queries_widened = 0;  // that looked at more lists than the default
};

struct AboveOptions {
    // One per query, not NaN: the float32 score, compared as float64, must not be below it.
    const double* min_scores = nullptr;
    std::size_t limit = std::numeric_limits<std::size_t>::max();  // most items of a query, >= 1
    RaggedView<std::int64_t> exclude;                             // as of a search, allow too
    const IdMask* const* allow = nullptr;
    int threads = 0;  // 0: the library's default
};

// Lists of different lengths: that of query q is offsets[q] .. offsets[q + 1] - 1.
struct RaggedLists {
    std::vector<std::int64_t> offsets;
    GrowingArray<std::int64_t> ids;
    GrowingArray<float> scores;
};

// The items of an index at one moment. Never changes; copies are cheap and share everything.
class Snapshot {
  public:
    std::size_t size() const;
    std::size_t dim() const;
    RowType row_type() const;
    Metric metric() const;
    bool has_bias() const;  // an item may have one that is not 0
    // Of the arrays that hold the items: rows, codes, ids and what else a search reads, mapped and
    // borrowed ones and removed rows too.
    std::size_t bytes() const;
    // The same for snapshots between which nothing was updated, another one otherwise; in one
    // process.
    std::uint64_t version() const;

    // The k best items of every query, scores descending, then ids ascending. Bits depend on the
    // query and the items alone. A zero query under cosine gets an empty list. Queries are finite.
    SearchStats search(const MatrixView& queries, const SearchOptions& options,
                       const ListsOut& out) const;

    // All items of every query that reach its min_score, however many; order, bits and what gets
    // nothing are those of a search. In addition to the result, memory is in use for the longest
    // list and for a few million entries at most.
    RaggedLists search_above(const MatrixView& queries, const AboveOptions& options) const;

    // Scores of candidate ids, one row of `scores` a query; an unknown id scores -inf.
    void score(const MatrixView& queries, const RaggedView<std::int64_t>& candidates, float* scores,
               int threads = 0) const;

    // In the order in which they were given; one that was replaced has kept its place.
    void ids(std::int64_t* out) const;
    // The row of each id, or -1, in an order of the snapshot's own.
    void find(const std::int64_t* ids, std::size_t n, std::int64_t* rows) const;
    // In float32, `dim()` numbers; rows of half precision are widened, exactly.
    void row(std::size_t i, float* out) const;

    // Of an index that has lists: their centers, one row per list, as long as the snapshot lives.
    MatrixView list_centers() const;
    // Per list what is added to the score of its center, for a query of length one, where lists are
    // ranked; of none where that is nothing.
    ArrayView<float> list_spreads() const;
    // Of each query the rows that a search with so many probes looks at; 0 for a zero query under
    // cosine.
    void rows_looked_at(const MatrixView& queries, std::size_t probes, std::int64_t* out,
                        int threads = 0) const;
    // The list of each item in the order of ids(), -1 where it is in none.
    void lists(std::int64_t* out) const;

    // The same items as one piece, without those removed; copies the rows where any were.
    Snapshot compacted(int threads = 0) const;
    // Its arrays, valid as long as the snapshot lives; only of one that is compacted.
    IndexArrays parts() const;

  private:
    friend class FlatIndex;
    friend class IVFIndex;
    explicit Snapshot(std::shared_ptr<const search::Items> items) : items_(std::move(items)) {}

    std::shared_ptr<const search::Items> items_;
};

// Reads see one moment each and wait for no update; updates wait for each other. A child that is
// forked meanwhile has the items of one moment, without the update in progress.
class FlatIndex {
  public:
    // From the parts of another, which are borrowed as BuildOptions says of rows. Ready at once: no
    // row is read. Throws std::invalid_argument where parts do not fit together; other damage in
    // them makes wrong answers, or exceptions later, but no wrong reads.
    explicit FlatIndex(const IndexArrays& parts, std::shared_ptr<const void> owner = nullptr);
    // Throws std::invalid_argument for ids that repeat or are negative.
    FlatIndex(const ItemsView& items, Metric metric, const BuildOptions& options = {});
    ~FlatIndex();
    FlatIndex(FlatIndex&&) noexcept;
    FlatIndex& operator=(FlatIndex&&) noexcept;

    // For several reads that belong together. The methods that a snapshot has too read one each.
    Snapshot snapshot() const;

    std::size_t size() const { return snapshot().size(); }
    std::size_t dim() const { return snapshot().dim(); }
    RowType row_type() const { return snapshot().row_type(); }  // that of the rows it was built of
    Metric metric() const { return snapshot().metric(); }
    SearchStats search(const MatrixView& queries, const SearchOptions& options,
                       const ListsOut& out) const {
        return snapshot().search(queries, options, out);
    }
    RaggedLists search_above(const MatrixView& queries, const AboveOptions& options) const {
        return snapshot().search_above(queries, options);
    }
    void score(const MatrixView& queries, const RaggedView<std::int64_t>& candidates, float* scores,
               int threads = 0) const {
        snapshot().score(queries, candidates, scores, threads);
    }

    // All of an update or, where it throws, nothing. Items are copied, ids given, rows of the type
    // row_type(); an item without a bias has a bias of 0. Now and then an update takes as long as a
    // build. Throws std::invalid_argument for ids that repeat, are negative or are there already.
    void add(const ItemsView& items, int threads = 0);
    // Adds items, which have no ids, under those that follow the largest in the index, or `after`
    // where that is larger. Returns the first: the items have it and the next ones, in their order.
    // Throws std::invalid_argument where there are not so many ids.
    std::int64_t append(const ItemsView& items, std::int64_t after = -1, int threads = 0);
    // Adds new ones; known ones are replaced, their bias too.
    void update(const ItemsView& items, int threads = 0);
    // Throws std::out_of_range for unknown ids, unless they are ignored.
    void remove(const std::int64_t* ids, std::size_t n, bool ignore_unknown = false,
                int threads = 0);
    // Rebuilds the index from its items: nothing is left of borrowed and removed rows.
    void compact(int threads = 0);

  protected:
    struct Impl;
    explicit FlatIndex(std::shared_ptr<const search::Items> items);

    std::unique_ptr<Impl> impl_;
};

// The same answer as an index over `items` would give; nothing is kept.
SearchStats topk(const MatrixView& queries, const ItemsView& items, Metric metric, std::size_t k,
                 const ListsOut& out, int threads = 0);

}  // namespace vecrecall
