// The tables whose int8 kernels are compared.
#pragma once

#include <vector>

#include "kernels/registry.hpp"

namespace test {

// The plainest, that of AVX-512 VNNI, the matrix unit's as it was compiled, and the same bodies
// over plain tiles or in larger groups: those that take query codes up to 127, and can run here.
std::vector<const vecrecall::kernels::KernelTable*> int8_tables();

}  // namespace test
