#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_neon.hpp"

#include "kernels/bodies-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kNeon = make_table<Neon>("neon", cpu::kArmDotProd);

}  // namespace vecrecall::kernels
