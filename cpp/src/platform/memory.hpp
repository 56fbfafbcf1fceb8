// Aligned storage that is left uninitialized until it is written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace vecrecall {

// Throws std::bad_alloc where the product does not fit, as an allocation of that size would.
inline std::size_t checked_product(std::size_t a, std::size_t b) {
    if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) throw std::bad_alloc();
    return a * b;
}

// Into the nearest cache, for reads.
inline void prefetch(const void* from, std::size_t bytes) {
    const auto* at = static_cast<const char*>(from);
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i);
}

template <class T>
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t size) : size_(size) {
        if (size == 0) return;
        const std::size_t bytes = checked_product(size, sizeof(T));
        // Large arrays on huge pages: fewer page faults while filling, fewer misses in a scan.
        const bool huge = bytes >= kHuge;
        const std::size_t align = huge ? kHuge : kLine;
        if (bytes > std::numeric_limits<std::size_t>::max() - align) throw std::bad_alloc();
        const std::size_t rounded = (bytes + align - 1) / align * align;
        data_.reset(static_cast<T*>(std::aligned_alloc(align, rounded)));
        if (!data_) throw std::bad_alloc();
#if defined(__linux__)
        if (huge) madvise(data_.get(), rounded, MADV_HUGEPAGE);
#endif
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    T& operator[](std::size_t i) { return data_.get()[i]; }
    const T& operator[](std::size_t i) const { return data_.get()[i]; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

  private:
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    static constexpr std::size_t kLine = 64;
    static constexpr std::size_t kHuge = std::size_t{2} << 20;
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

// Room for so many values, whatever they are; where it grows, what was there is lost. To clear what
// is only written afterwards would fetch cache lines for nothing.
template <class T>
T* at_least(Buffer<T>& buffer, std::size_t size) {
    if (buffer.size() < size) buffer = Buffer<T>(std::max(size, 2 * buffer.size()));
    return buffer.data();
}

}  // namespace vecrecall
