#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_avx512.hpp"

#include "kernels/bodies-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kAvx512Vnni =
    make_table<Avx512Vnni>("avx512vnni", cpu::kX86V4 | cpu::kX86Vnni);

}  // namespace vecrecall::kernels
