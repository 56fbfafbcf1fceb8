#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_avx2.hpp"

#include "kernels/bodies-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kAvx2 = make_table<Avx2>("avx2", cpu::kX86V3);

}  // namespace vecrecall::kernels
