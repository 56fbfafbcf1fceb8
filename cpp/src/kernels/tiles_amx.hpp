// Traits for the matrix unit of x86: eight registers of sixteen rows of 64 bytes.
#pragma once

#include "kernels/tiles.hpp"

namespace vecrecall::kernels {
namespace {

// Statements of our own: the intrinsics of GCC 12 do not say that a load reads memory, so that the
// compiler may drop what was stored there. Nothing else in a kernel file touches tiles, so none
// needs to be named as overwritten.
class AmxTiles {
  public:
    __attribute__((always_inline)) AmxTiles() {
        __asm__ volatile("ldtilecfg %0" : : "m"(kWholeTiles));
    }
    __attribute__((always_inline)) ~AmxTiles() { __asm__ volatile("tilerelease" ::: "memory"); }
    AmxTiles(const AmxTiles&) = delete;
    AmxTiles& operator=(const AmxTiles&) = delete;

    template <int kTile>
    __attribute__((always_inline)) void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
    }
    template <int kTile>
    __attribute__((always_inline)) void load(const void* from, std::size_t stride) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(from), "r"(stride), "i"(kTile)
                         : "memory");
    }
    template <int kTile>
    __attribute__((always_inline)) void store(void* to, std::size_t stride) const {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                         :
                         : "r"(to), "r"(stride), "i"(kTile)
                         : "memory");
    }
    template <int kSums, int kSigned, int kUnsigned>
    __attribute__((always_inline)) void multiply() {
        __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0"
                         :
                         : "i"(kSums), "i"(kSigned), "i"(kUnsigned));
    }
};

}  // namespace
}  // namespace vecrecall::kernels
