// Finding the kernels: resolved once at the entry of a batch and held as a pointer to const.
#pragma once

#include <string>

#include "kernels/table.hpp"

namespace vecrecall::kernels {

// The set in use now; reads the environment at first use, see isa.hpp.
const KernelTable& active();

// The kernels of a set for vectors of so many dimensions: of few, a matrix unit would multiply
// mostly zeros, and the vectors of the set are faster.
const KernelTable& for_width(const KernelTable& table, std::size_t dim);

// By name, among those that this machine can run; throws std::invalid_argument.
const KernelTable& named(const std::string& name);

}  // namespace vecrecall::kernels
