// A bag of any length, combined so that the call can stop meanwhile.
#pragma once

#include "kernels/table.hpp"

namespace vecrecall {

// As the kernel: whether all was finite. A long bag is taken piece by piece, with the same bits.
bool combine_bag(bool (*kernel)(const kernels::PoolBag&), const kernels::PoolBag& bag);

}  // namespace vecrecall
