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

}  // namespace

MachineLimits machine_limits(int threads) {
    const int t = threads == 0 ? num_threads() : threads;
    const kernels::KernelTable& table = kernels::active();
    Buffer<char> memory(checked_product(static_cast<std::size_t>(t), kBytesAThread) + 8192);
    std::memset(memory.data(), 0, memory.size());
    const double work = static_cast<double>(t) * kRounds * table.peak_chains / 1e9;
    const double bytes = static_cast<double>(t) * kBytesAThread / 1e9;
    timed(t, table.peak_f32, kRounds / 10, memory.data(), 0);  // wakes the threads
    return {.f32_products =
                work * table.peak_f32_lanes / timed(t, table.peak_f32, kRounds, memory.data(), 0),
            .i8_products =
                work * table.peak_i8_lanes / timed(t, table.peak_i8, kRounds, memory.data(), 0),
            .bytes_read =
                bytes / timed(t, table.peak_read, kBytesAThread, memory.data(), kBytesAThread)};
}

}  // namespace vecrecall
