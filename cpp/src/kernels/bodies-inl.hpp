// All kernel bodies, and the table that one instruction set makes of them.
#pragma once

#include "kernels/code_tile-inl.hpp"
#include "kernels/exact-inl.hpp"
#include "kernels/nearest-inl.hpp"
#include "kernels/pack_f32-inl.hpp"
#include "kernels/pairs-inl.hpp"
#include "kernels/peak-inl.hpp"
#include "kernels/pool-inl.hpp"
#include "kernels/quantize_i8-inl.hpp"
#include "kernels/scan_f32-inl.hpp"
#include "kernels/scan_i8-inl.hpp"
#include "kernels/select-inl.hpp"

namespace vecrecall::kernels {
namespace {

template <class S>
constexpr KernelTable make_table(const char* name, std::uint32_t features) {
    return KernelTable{
        .name = name,
        .features = features,
        .vectors = nullptr,
        .sum_products = sum_products<S>,
        .sum_squared_differences = sum_squared_differences<S>,
        .sum_products_and_squares = sum_products_and_squares<S>,
        .pack_f32 = pack_f32<S>,
        .f32_query_block = S::kQueries,
        .scan_panels_f32 = scan_panels_f32<S>,
        .scan_rows_f32 = scan_rows_f32<S>,
        .i8_query_limit = S::kQueryLimit,
        .i8_code_offset = S::kUnsignedCodes ? 128 : 0,
        .i8_blocks = {.rows = S::kQueriesI8, .log_step = 2},
        .i8_tiles = {.rows = 0, .log_step = 0},
        .scan_i8 = scan_i8<S>,
        .scan_i8_few = scan_i8_few<S>,
        .largest_residual = largest_residual<S>,
        .quantize_i8 = quantize_i8<S>,
        .nearest_i8_group = kBlocksInGroup * S::kQueriesI8,
        .nearest_i8_layout = {.rows = S::kQueriesI8, .log_step = 2},
        .code_tile = code_tile<S>,
        .nearest_i8 = nearest_i8<S>,
        .select_i8 = select_i8<S, kBlocksInGroup * S::kQueriesI8>,
        .nearest_f32_group = kBlocksInGroup * S::kQueries,
        .nearest_f32 = nearest_f32<S>,
        .pair_products = pair_products<S>,
        .pair_squared_differences = pair_squared_differences<S>,
        .kth_largest_bound = kth_largest_bound<S>,
        .indices_at_least = indices_at_least<S>,
        .pool_sum = pool_sum<S>,
        .pool_max = pool_max<S>,
        .peak_chains = kPeakChains,
        .peak_f32_lanes = S::kLanes,
        .peak_i8_lanes = 4 * S::kLanes,
        .peak_f32 = peak_f32<S>,
        .peak_i8 = peak_i8<S>,
        .peak_read = peak_read<S>,
    };
}

}  // namespace
}  // namespace vecrecall::kernels
