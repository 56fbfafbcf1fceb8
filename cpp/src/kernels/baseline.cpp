#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_generic.hpp"

#include "kernels/bodies-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kBaseline = make_table<Generic>("baseline", cpu::kNone);

}  // namespace vecrecall::kernels
