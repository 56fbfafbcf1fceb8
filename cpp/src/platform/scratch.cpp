#include "platform/scratch.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

namespace vecrecall::detail {
namespace {

// The most that is kept: the buffers of two threads at ordinary list lengths.
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

constexpr std::size_t kMostBuffers = 64;

struct Stock {
    Stock() { buffers.reserve(kMostBuffers); }

    std::mutex mutex;
    std::vector<Buffer<std::byte>> buffers;
    std::size_t bytes = 0;
};

// Never destroyed: other threads may outlive the static objects of this file. Not a static of a
// function, for which a child would wait that was forked while another thread made it.
std::atomic<Stock*> g_stock{nullptr};

Stock& stock() {
    Stock* existing = g_stock.load(std::memory_order_acquire);
    if (existing != nullptr) return *existing;
    auto* fresh = new Stock;
    if (g_stock.compare_exchange_strong(existing, fresh)) return *fresh;
    delete fresh;
    return *existing;
}

}  // namespace

// No thread waits for the stock, least of all a forked child whose parent held it: the alternative
// is cheap.
Buffer<std::byte> take_scratch(std::size_t bytes) {
    Stock& s = stock();
    if (const std::unique_lock lock(s.mutex, std::try_to_lock); lock) {
        const auto found = std::find_if(
            s.buffers.begin(), s.buffers.end(),
            [&](const Buffer<std::byte>& b) { return b.size() >= bytes && b.size() / 2 <= bytes; });
        if (found != s.buffers.end()) {
            Buffer<std::byte> buffer = std::move(*found);
            s.buffers.erase(found);
            s.bytes -= buffer.size();
            return buffer;
        }
    }
    return Buffer<std::byte>(bytes);
}

void keep_scratch(Buffer<std::byte> buffer) {
    Stock& s = stock();
    const std::unique_lock lock(s.mutex, std::try_to_lock);
    if (!lock || buffer.size() > kMostBytes / 2 || s.buffers.size() == kMostBuffers) return;
    s.bytes += buffer.size();
    s.buffers.push_back(std::move(buffer));
    while (s.bytes > kMostBytes) {  // the oldest goes
        s.bytes -= s.buffers.front().size();
        s.buffers.erase(s.buffers.begin());
    }
}

}  // namespace vecrecall::detail
