#include "vecrecall/limits.hpp"

#include <chrono>
#include <cstring>

#include "kernels/registry.hpp"
#include "platform/memory.hpp"
#include "vecrecall/parallel.hpp"

namespace vecrecall {
namespace {

using Kernel = std::uint64_t (*)(std::size_t, const void*);

constexpr std::size_t kRounds = 10'000'000;
constexpr std::size_t kBytesAThread = std::size_t{128} << 20;

// Seconds until every thread has run the kernel once.
double timed(int threads, Kernel kernel, std::size_t amount, const char* memory,
             std::size_t stride) {
    std::vector<std::uint64_t> used(static_cast<std::size_t>(threads));
    const auto begin = std::chrono::steady_clock::now();
    parallel_for(used.size(), threads,
                 [&](std::size_t t) { used[t] = kernel(amount, memory + t * stride); });
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    return elapsed.count();
}

// The loops of a table read a vector first, or a tile.
constexpr std::size_t kSeedBytes = 8192;

double products(int threads, Kernel kernel, int chains, int lanes, const char* seed) {
    return static_cast<double>(threads) * kRounds * chains * lanes / 1e9 /
           timed(threads, kernel, kRounds, seed, 0);
}

int worth(int threads) { return threads == 0 ? num_threads() : threads; }

}  // namespace

ProductLimits product_limits(int threads) {
    const int t = worth(threads);
    const kernels::KernelTable& table = kernels::active();
    Buffer<char> seed(kSeedBytes);
    std::memset(seed.data(), 0, seed.size());
    const auto i8 = [&](const kernels::KernelTable& of) {
        return products(t, of.peak_i8, of.peak_chains, of.peak_i8_lanes, seed.data());
    };
    timed(t, table.peak_f32, kRounds / 10, seed.data(), 0);  // wakes the threads
    ProductLimits found{
        .f32 = products(t, table.peak_f32, table.peak_chains, table.peak_f32_lanes, seed.data()),
        .i8 = i8(table),
        .i8_vectors = std::nullopt};
    if (table.vectors != nullptr) found.i8_vectors = i8(*table.vectors);
    return found;
}

double read_limit(int threads) {
    const int t = worth(threads);
    Buffer<char> memory(checked_product(static_cast<std::size_t>(t), kBytesAThread) + kSeedBytes);
    std::memset(memory.data(), 0, memory.size());
    return static_cast<double>(t) * kBytesAThread / 1e9 /
           timed(t, kernels::active().peak_read, kBytesAThread, memory.data(), kBytesAThread);
}

}  // namespace vecrecall
