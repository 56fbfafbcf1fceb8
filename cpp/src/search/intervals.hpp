// The scan without its selection: what it certifies about every item. For tests of the bound.
#pragma once

#include "kernels/table.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::search {

// For each query and item the smallest and the largest float32 score that the scan (of codes or of
// rows) allows it. The queries are scanned together; how many they are decides which kernel runs.
void intervals(const kernels::KernelTable& table, const ItemsView& items, Metric metric, bool codes,
               const MatrixView& queries, float* lowest, float* highest);

}  // namespace vecrecall::search
