// The kernels of one instruction set, as data. The only thing a kernel file exports.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecrecall/row_type.hpp"

namespace vecrecall::kernels {

// Items are scanned in panels of 16, side by side; 64 items share one word of liveness bits.
inline constexpr std::size_t kPanelItems = 16;
inline constexpr std::size_t kWordItems = 64;
inline constexpr std::size_t kReachingRoom = 16;

// One item that passed a query's threshold: its row and the scan's raw value (bits of a float).
struct Hit {
    std::uint32_t row;
    std::uint32_t raw;
};

// Where a row's bytes lie: byte j at first + j / step * stride + j % step.
struct RowPlace {
    std::size_t first;
    std::size_t stride;
    unsigned log_step;

    constexpr std::size_t at(std::size_t j) const {
        return first + (j >> log_step) * stride + (j & ((std::size_t{1} << log_step) - 1));
    }
};

// How int8 rows that meet codes lie: blocks of `rows` rows, each [steps][rows][bytes of a step],
// filled up with zeros to whole steps. The last block may have fewer rows, and is shorter then.
struct RowLayout {
    std::size_t rows;
    unsigned log_step;  // of the bytes of a step

    // Bytes of a row of so many quads of dimensions.
    constexpr std::size_t width(std::size_t n_quads) const {
        const std::size_t step = std::size_t{1} << log_step;
        return (4 * n_quads + step - 1) / step * step;
    }
    // Of row r of n.
    constexpr RowPlace place(std::size_t r, std::size_t n, std::size_t n_quads) const {
        const std::size_t block = r - r % rows;
        const std::size_t in_block = n - block < rows ? n - block : rows;
        return {.first = block * width(n_quads) + (r % rows << log_step),
                .stride = in_block << log_step,
                .log_step = log_step};
    }
};

// Where a query's hits go. The caller leaves room for every item of a step.
struct HitList {
    Hit* hits;
    std::uint32_t count;
};

// The condition for an item to be a hit, and where the hits of a step go.
struct ThresholdFilter {
    const float* offsets;                // per item, what its value starts from
    const float* thresholds;             // per query: an item is a hit unless value < threshold
    const std::int32_t* int_thresholds;  // the same where values are integers
    const std::uint64_t* const* live;    // per query: word 0 covers the step's first 64 items
    std::uint32_t first_row;
    HitList* hits;  // per query
};

// One step of the scan: a run of whole panels against a batch of queries.
struct ScanPanelsF32 {
    const float* panels;   // [n_panels][dim][16]
    std::size_t n_panels;  // a multiple of 4 (a whole word); absent items are dead in `live`
    std::size_t dim;
    const float* queries;  // blocks of query_block queries, each block [dim][queries in block]
    std::size_t n_queries;
    ThresholdFilter threshold_filter;
};

// The same from the rows in place, for few queries: no packing, one sum across lanes an item.
struct ScanRowsF32 {
    RowPointer rows;  // row-major, n_rows x dim
    std::size_t n_rows;
    std::size_t dim;
    const float* scales;   // per row, or null for 1
    const float* center;   // [padded dim]
    const float* queries;  // n_queries x padded dim; padding to a multiple of 16 is zero
    std::size_t n_queries;
    ThresholdFilter threshold_filter;  // offsets reach to a multiple of 64 items
};

// One step of the int8 scan. Codes are c + 128; a sum over the dimensions is that of g * c.
struct ScanI8 {
    const std::uint8_t* codes;  // [n_panels][n_quads][16 items][4 dimensions]
    std::size_t n_panels;       // a multiple of 4 where n_tiled > 0; else whole groups of items are
                                // read, of which those behind have no live items
    const std::uint8_t* after;  // what is likely to be scanned next, for scan_i8_few
    std::size_t n_quads;        // groups of four dimensions
    const std::int8_t* queries;  // for scan_i8 n_tiled by i8_tiles, then the rest by i8_blocks; for
                                 // scan_i8_few [query][n_quads][4]
    std::size_t n_queries;
    std::size_t n_tiled;         // whole blocks of i8_tiles; 0 where the table has none
    const std::int32_t* starts;  // per query what its sums begin with: what the codes' offset adds
    const float*
        scales;    // per query: value = scale * sum + offset; null: the sum itself, no offset
    bool shifted;  // sums start lower by their thresholds, and pass where they are not negative
    ThresholdFilter threshold_filter;
};

// A block's rows to codes: r = row * scale - center = step * c + e.
struct QuantizeI8 {
    RowPointer rows;
    std::size_t n_rows;
    std::size_t dim;
    const double* scales;  // per row, or null for 1
    const double* center;  // [dim], padded with zeros to a multiple of 8
    double step;
    std::uint8_t* codes;    // [n_panels][n_quads][16][4], the whole of it is written
    std::size_t n_panels;   // n_rows rounded up, or more
    double largest_code2;   // out: max over rows of |step * c|^2
    double largest_error2;  // out: max over rows of |e|^2
};

struct PackF32 {
    RowPointer rows;  // row-major, n_rows x dim
    std::size_t n_rows;
    std::size_t dim;
    const float* scales;   // per row, or null for 1
    const float* center;   // [dim]
    float* panels;         // [n_panels][dim][16]; lanes past n_rows become zeros
    std::size_t n_panels;  // n_rows rounded up to whole panels, or more
};

// A bag of table rows to be combined.
struct PoolBag {
    RowPointer table;
    std::size_t dim;
    const std::int64_t* rows;  // valid row numbers
    const double* weights;     // of sums: per entry, or null for 1
    std::size_t n_rows;
    const std::int64_t* entries;  // of this bag and those behind it, to be fetched; -1 or valid
    std::size_t n_entries;
    float* out;            // [dim], rounded, or null
    double* sums;          // [dim], as they are, or null
    const double* before;  // [dim], what the rows before these gave in `sums`, or null
};

// Nearest centroids. Points are in lanes, a tile of kWordItems of them; centroids come in groups of
// two register blocks, the last filled up with copies. A point is x = step * c + e, a centroid
// y = centroid step * g + f, and a value is y.x + offset in units of the point's step. float32 has
// step 1 and no e.
struct PointTerms {        // [kWordItems] each
    const float* units;    // 1 / step
    const float* misses;   // |e| / step
    const float* lengths;  // |x| / step
};

// A value is off by per_miss * miss + per_length * length + per_unit * unit at most; one of each a
// centroid, or a group.
struct ErrorTerms {
    const float* per_miss;
    const float* per_length;
    const float* per_unit;
};

// A value's lowest bits say which centroid of its group it is of.
inline constexpr std::int32_t kInGroupBits = 15;
inline constexpr std::size_t kColumns = 16;  // of a group, those past its centroids unused

// The results for every point.
struct GroupUpperBounds {
    float* highest;           // [n_groups][kWordItems]: no value of the group is really above it
    float* top;               // [kWordItems]: the largest value as computed
    std::int32_t* top_group;  // [kWordItems]: of which group
};

// Memory to be brought into the caches during a scan.
struct PrefetchRange {
    const void* from;
    std::size_t bytes;
};

struct NearestI8 {
    const std::uint8_t* codes;  // [panels][n_quads][16 points][4 dimensions], c + 128
    std::size_t n_quads;
    const std::int8_t* centroids;  // g, by nearest_i8_layout
    const std::int32_t* starts;    // per centroid what its sums begin with
    const float* steps;            // per centroid
    const float* offsets;          // per centroid
    std::size_t n_groups;
    PointTerms points;
    ErrorTerms groups;
    GroupUpperBounds reach;
    PrefetchRange prefetch;
};

struct NearestF32 {
    const float* panels;  // [panels][dim][16 points]
    std::size_t dim;
    const float* centroids;  // [register blocks][dim][centroids of a block]
    const float* offsets;    // per centroid
    std::size_t n_groups;
    PointTerms points;
    ErrorTerms groups;
    GroupUpperBounds reach;
    PrefetchRange prefetch;
};

// A point of a tile and a centroid that may be its nearest.
struct Pair {
    std::uint32_t point;
    std::uint32_t centroid;
};

// From the groups that reach a point's threshold to the centroids that do.
struct SelectI8 {
    const NearestI8* scan;
    const std::int8_t* columns;  // g: [n_groups][n_quads][kColumns][4]
    std::size_t n_centroids;     // without copies
    ErrorTerms centroids;
    const float* thresholds;  // [kWordItems]
    std::uint64_t live;       // a bit per point
    Pair* pairs;              // by centroid for each point
    std::size_t room;
    std::size_t count;  // out; larger than room where that did not suffice
};

struct SumPairs {
    RowPointer points;
    const float* centroids;
    std::size_t dim;
    const Pair* pairs;
    std::size_t n;
    double* sums;
};

// A tile of points to codes, each with a step of its own: x = step * c + e. All but the codes
// are float32 results as they come, without margins.
struct CodeTile {
    const float* panels;  // [panels][dim][16]
    std::size_t dim;
    std::uint8_t* codes;  // [panels][n_quads][16][4], c + 128
    float* steps;         // [kWordItems]; 1 for a zero row
    float* units;         // 1 / step
    float* lengths;       // |x| / step
    float* misses;        // |e| / step
};

struct KernelTable {
    const char* name;
    std::uint32_t features;      // what the processor and the system must offer, see cpu.hpp
    const KernelTable* vectors;  // of a set with a matrix unit: the same without it; else null

    // Kernels that read rows widen them as they load them, exactly: what they give has the bits of
    // the same rows in float32. A NaN becomes a quiet one.
    void (*widen)(RowPointer values, std::size_t n, float* out);

    // Exact float64 sums in the fixed order of eight accumulators, one per row. `query` is padded
    // with zeros to a multiple of 8; `index` picks rows, or is null for rows 0..n-1.
    void (*sum_products)(const double* query, RowPointer rows, std::size_t dim,
                         const std::uint32_t* index, std::size_t n, double* sums);
    void (*sum_squared_differences)(const double* query, RowPointer rows, std::size_t dim,
                                    const std::uint32_t* index, std::size_t n, double* sums);
    void (*sum_products_and_squares)(const double* query, RowPointer rows, std::size_t dim,
                                     const std::uint32_t* index, std::size_t n, double* sums,
                                     double* squares);

    void (*pack_f32)(const PackF32&);
    std::size_t f32_query_block;
    void (*scan_panels_f32)(const ScanPanelsF32&);
    void (*scan_rows_f32)(const ScanRowsF32&);

    std::int32_t i8_query_limit;  // query codes lie in -limit .. limit
    std::int32_t i8_code_offset;  // what codes are taken for: c + 128, or c; sums begin with
                                  // -i8_code_offset * sum of g
    RowLayout i8_blocks;
    RowLayout i8_tiles;  // rows are 0 where there is no matrix unit
    void (*scan_i8)(const ScanI8&);
    void (*scan_i8_few)(const ScanI8&);
    double (*largest_residual)(const QuantizeI8&);  // max |r_j|
    void (*quantize_i8)(QuantizeI8&);

    std::size_t nearest_i8_group;  // centroids
    RowLayout nearest_i8_layout;
    void (*code_tile)(const CodeTile&);
    void (*nearest_i8)(const NearestI8&);
    void (*select_i8)(SelectI8&);
    std::size_t nearest_f32_group;
    void (*nearest_f32)(const NearestF32&);
    // As sum_products and sum_squared_differences, of pairs of rows.
    void (*pair_products)(const SumPairs&);
    void (*pair_squared_differences)(const SumPairs&);

    // A value that at least k of the n values reach, and k + k / 32 at most, unless more are equal;
    // -infinity where fewer than k values are above that. No value is NaN.
    float (*kth_largest_bound)(const float* values, std::size_t n, std::size_t k);
    // The numbers of the values that reach the floor, in order; returns how many. There is room for
    // kReachingRoom more numbers than values.
    std::size_t (*indices_at_least)(const float* values, std::size_t n, float floor,
                                    std::uint32_t* numbers);

    // Sums in float64 in entry order, and maxima. Returns whether the sums, and of maxima all
    // values of the rows, are finite. Zeros of no rows.
    bool (*pool_sum)(const PoolBag&);
    bool (*pool_max)(const PoolBag&);

    // Loops at the machine's limit: rounds of peak_chains vector operations, or bytes to read.
    int peak_chains;
    int peak_f32_lanes;  // multiply-adds an operation
    int peak_i8_lanes;
    std::uint64_t (*peak_f32)(std::size_t rounds, const void* seed);
    std::uint64_t (*peak_i8)(std::size_t rounds, const void* seed);
    std::uint64_t (*peak_read)(std::size_t bytes, const void* from);
};

extern const KernelTable kBaseline;
extern const KernelTable kAvx2;
extern const KernelTable kAvx512;
extern const KernelTable kAvx512Vnni;
extern const KernelTable kAmx;
extern const KernelTable kNeon;

}  // namespace vecrecall::kernels
