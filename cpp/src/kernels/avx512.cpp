#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_avx512.hpp"

#include "kernels/bodies-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kAvx512 = make_table<Avx512Pairs>("avx512", cpu::kX86V4);

}  // namespace vecrecall::kernels
