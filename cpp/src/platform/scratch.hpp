// Memory for the time of one call, kept for the next: fresh pages would have to be cleared again,
// which costs a batch search 3 to 4 %.
#pragma once

#include <cstddef>
#include <utility>

#include "platform/memory.hpp"

namespace vecrecall {

namespace detail {
Buffer<std::byte> take_scratch(std::size_t bytes);
void keep_scratch(Buffer<std::byte> buffer);
}  // namespace detail

// An uninitialized array of trivial values.
template <class T>
class Scratch {
  public:
    explicit Scratch(std::size_t size)
        : bytes_(detail::take_scratch(checked_product(size, sizeof(T)))) {}
    ~Scratch() { detail::keep_scratch(std::move(bytes_)); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data() { return reinterpret_cast<T*>(bytes_.data()); }

  private:
    Buffer<std::byte> bytes_;
};

}  // namespace vecrecall
