// From the words of a processor and the answers of the kernel to what can be used.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <string>

#include "kernels/cpu.hpp"

using namespace vecrecall::kernels::cpu;

namespace {

std::uint32_t bits(std::initializer_list<int> positions) {
    std::uint32_t all = 0;
    for (const int p : positions) all |= std::uint32_t{1} << p;
    return all;
}

// A processor with everything, under a system that saves everything.
X86Leaves sapphire_rapids() {
    return {.ecx_1 = bits({0, 9, 12, 13, 19, 20, 22, 23, 26, 27, 28, 29}),
            .ebx_7 = bits({3, 5, 8, 16, 17, 28, 30, 31}),
            .ecx_7 = bits({11}),
            .edx_7 = bits({22, 24, 25}),
            .ecx_extended = bits({0, 5}),
            .xcr0 = bits({0, 1, 2, 5, 6, 7, 9, 17, 18})};
}

constexpr std::uint32_t kAmxTable = kX86V4 | kX86Vnni | kX86Amx;

int g_asked = 0;
int g_answer = 0;

int answer() {
    ++g_asked;
    return g_answer;
}

Lack amx_of(const X86Leaves& leaves, int system_answers = 0) {
    g_asked = 0;
    g_answer = system_answers;
    return lack_of(kAmxTable, features_of(leaves), answer);
}

}  // namespace

TEST_CASE("cpu: everything is there") {
    const Features all = features_of(sapphire_rapids());
    CHECK(all.of_processor == (kX86V3 | kX86V4 | kX86Vnni | kX86Amx));
    CHECK(all.saved == all.of_processor);
    CHECK(amx_of(sapphire_rapids()) == Lack::kNothing);
    CHECK(g_asked == 1);
}

TEST_CASE("cpu: no such processor") {
    for (const int bit : {24, 25}) {
        X86Leaves leaves = sapphire_rapids();
        leaves.edx_7 &= ~bits({bit});
        CHECK(amx_of(leaves) == Lack::kProcessor);
        CHECK(g_asked == 0);
        CHECK(lack_of(kX86V4 | kX86Vnni, features_of(leaves), answer) == Lack::kNothing);
    }
    // The kernels' vector code needs the rest as well.
    for (X86Leaves leaves : {X86Leaves{}, sapphire_rapids()}) {
        leaves.ecx_7 = 0;
        CHECK(amx_of(leaves) == Lack::kProcessor);
    }
    for (const int bit : {16, 17, 28, 30, 31}) {
        X86Leaves leaves = sapphire_rapids();
        leaves.ebx_7 &= ~bits({bit});
        CHECK(amx_of(leaves) == Lack::kProcessor);
        CHECK(lack_of(kX86V4, features_of(leaves), answer) == Lack::kProcessor);
        CHECK(lack_of(kX86V3, features_of(leaves), answer) == Lack::kNothing);
    }
    CHECK(lack_of(kNone, features_of({}), answer) == Lack::kNothing);
}

TEST_CASE("cpu: state that the system does not save") {
    for (const int bit : {17, 18}) {
        X86Leaves leaves = sapphire_rapids();
        leaves.xcr0 &= ~bits({bit});
        CHECK(amx_of(leaves) == Lack::kState);
        CHECK(g_asked == 0);
        CHECK(lack_of(kX86V4 | kX86Vnni, features_of(leaves), answer) == Lack::kNothing);
    }
    for (const int bit : {5, 6, 7}) {
        X86Leaves leaves = sapphire_rapids();
        leaves.xcr0 &= ~bits({bit});
        CHECK(amx_of(leaves) == Lack::kState);
        CHECK(lack_of(kX86V4, features_of(leaves), answer) == Lack::kState);
        CHECK(lack_of(kX86V3, features_of(leaves), answer) == Lack::kNothing);
    }
    X86Leaves leaves = sapphire_rapids();
    leaves.xcr0 = 0;  // as without OSXSAVE
    CHECK(lack_of(kX86V3, features_of(leaves), answer) == Lack::kState);
}

TEST_CASE("cpu: the kernel's answer") {
    const X86Leaves leaves = sapphire_rapids();
    for (const int error : {EINVAL, ENOSYS, EOPNOTSUPP}) {
        CHECK(amx_of(leaves, error) == Lack::kState);
        CHECK(g_asked == 1);
    }
    CHECK(amx_of(leaves, ENOSPC) == Lack::kSignalStack);
    for (const int error : {EPERM, EACCES, EBUSY})
        CHECK(amx_of(leaves, error) == Lack::kPermission);
    // Only what needs tiles asks.
    g_asked = 0;
    g_answer = EPERM;
    CHECK(lack_of(kX86V4 | kX86Vnni, features_of(leaves), answer) == Lack::kNothing);
    CHECK(g_asked == 0);
}

TEST_CASE("cpu: every lack has words of its own") {
    std::string before;
    for (const Lack lack :
         {Lack::kProcessor, Lack::kState, Lack::kPermission, Lack::kSignalStack}) {
        CHECK(std::strlen(describe(lack)) > 0);
        CHECK(describe(lack) != before);
        before = describe(lack);
    }
    CHECK(std::string(describe(Lack::kNothing)).empty());
}

// A processor without tiles refuses too, and neither ends the process nor leaves an error behind.
TEST_CASE("cpu: this machine") {
    errno = 7;
    const int error = host::request_tiles();
    CHECK(errno == 7);
    CHECK(error >= 0);
    CHECK(lack_of(kX86Amx) == lack_of(kX86Amx));
    if ((host::features().of_processor & kX86Amx) == 0) CHECK(lack_of(kX86Amx) == Lack::kProcessor);
}
