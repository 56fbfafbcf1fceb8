// All kernels over plain tiles: what takes long to compile is compiled once.
#include "tiled_tables.hpp"

#include <string>

#include "emulated_amx.hpp"
#include "kernels/simd_generic.hpp"
#include "kernels/tiled_table-inl.hpp"
#include "plain_tiles.hpp"
#include "vecrecall/isa.hpp"

namespace test {

using namespace vecrecall::kernels;

static constexpr KernelTable kPlainTiles =
    make_tiled_table<Generic, PlainTiles>("plain tiles", 0, kBaseline);

// Groups of a whole word, as those of AVX-512, where that is not here.
struct WholeWords : Generic {
    static constexpr std::size_t kGroup = kWordItems;
};

static KernelTable in_whole_words() {
    KernelTable table = kBaseline;
    table.name = "whole words";
    table.scan_i8 = scan_i8<WholeWords>;
    table.scan_i8_few = scan_i8_few<WholeWords>;
    return table;
}

static const KernelTable kWholeWords = in_whole_words();

std::vector<const KernelTable*> int8_tables() {
    std::vector<const KernelTable*> tables = {&kPlainTiles, &kWholeWords};
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
