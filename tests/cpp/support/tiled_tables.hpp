// The tables whose int8 kernels are compared: the plainest, that of AVX-512 VNNI, the matrix unit's
// as it was compiled, and the same bodies over plain tiles.
#pragma once

#include <string>
#include <vector>

#include "emulated_amx.hpp"
#include "kernels/registry.hpp"
#include "kernels/simd_generic.hpp"
#include "kernels/tiled_table-inl.hpp"
#include "plain_tiles.hpp"
#include "vecrecall/isa.hpp"

namespace test {

inline const vecrecall::kernels::KernelTable& plain_tiles_table() {
    using namespace vecrecall::kernels;
    static constexpr KernelTable table =
        make_tiled_table<Generic, PlainTiles>("plain tiles", 0, kBaseline);
    return table;
}

// Those that take query codes up to 127, and can run here.
inline std::vector<const vecrecall::kernels::KernelTable*> int8_tables() {
    using namespace vecrecall::kernels;
    std::vector<const KernelTable*> tables = {&plain_tiles_table()};
    for (const std::string& name : vecrecall::available_isas()) {
        const KernelTable& table = named(name);
        if (table.i8_query_limit == 127 && name != "amx") tables.push_back(&table);
    }
#if defined(VECRECALL_HAS_AMX)
    if (execute_amx()) tables.push_back(&kAmx);
#endif
    return tables;
}

}  // namespace test
