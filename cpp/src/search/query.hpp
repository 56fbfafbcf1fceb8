// Queries, prepared for the exact kernels and for the scan.
#pragma once

#include <vector>

#include "platform/memory.hpp"
#include "search/items.hpp"

namespace vecrecall::search {

// The scan sees the query as p: q (ip), q - mu (l2) or q / |q| (cosine). Then
//     score = constant + multiplier * (p.r + offset).
struct Query {
    std::size_t place;   // row in the caller's batch
    const double* wide;  // float64, zero-padded, for the exact kernels
    double length;       // |q|, exact lane order
    double constant;
    double multiplier;
    double scan_length;                   // at least |p|
    const float* scan_vector;             // p in float32
    std::vector<std::uint32_t> excluded;  // rows that it must not get
};

// The terms of a query and the center of a block: as above, with the block's own constant.
struct CenterTerms {
    double constant;
    double norm;   // of the center, an upper bound
    double shift;  // at least the distance between the block's center and mu, under l2; else 0
};

CenterTerms center_terms(const kernels::KernelTable& table, const Items& items, const Block& block,
                         const Query& query);

class QueryBatch {
  public:
    // Leaves out queries that have no answer (zero under cosine).
    QueryBatch(const kernels::KernelTable& table, const Items& items, const MatrixView& queries,
               const RaggedView<std::int64_t>& exclude, int threads);

    std::size_t size() const { return queries_.size(); }
    const Query& operator[](std::size_t i) const { return queries_[i]; }
    // A run of the queries for centers of lists, while this batch lives: under ip divided by
    // their lengths and rounded to float32, and with no excluded ids.
    QueryBatch seen_from(const kernels::KernelTable& table, const Items& centers, std::size_t first,
                         std::size_t n) const;
    // Some of the queries, while this batch lives.
    QueryBatch select(const std::vector<std::size_t>& which) const;

  private:
    explicit QueryBatch(std::size_t dim) : dim_(dim) {}
    void find_excluded(const Items& items, const RaggedView<std::int64_t>& exclude, int threads);
    void prepare(const kernels::KernelTable& table, const Items& items, const float* row,
                 std::size_t i);
    void look_from(const kernels::KernelTable& table, const Items& items, std::size_t i);

    std::size_t dim_;
    Buffer<double> wide_;
    Buffer<float> scan_vectors_;
    std::vector<Query> queries_;
};

}  // namespace vecrecall::search
