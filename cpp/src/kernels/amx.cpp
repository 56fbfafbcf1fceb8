#include "kernels/table.hpp"

#include "kernels/cpu.hpp"
#include "kernels/simd_avx512.hpp"
#include "kernels/tiles_amx.hpp"

#include "kernels/tiled_table-inl.hpp"

namespace vecrecall::kernels {

constinit const KernelTable kAmx = make_tiled_table<Avx512Vnni, AmxTiles>(
    "amx", cpu::kX86V4 | cpu::kX86Vnni | cpu::kX86Amx, kAvx512Vnni);

}  // namespace vecrecall::kernels
