// An array that grows without a second copy of what is in it, where the system moves its pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace vecrecall {

// Of trivial values, uninitialized until they are written. Memory that was not written yet takes no
// pages, so that room to grow costs nothing where arrays are large.
template <class T>
class GrowingArray {
    static_assert(std::is_trivial_v<T>);

  public:
    GrowingArray() = default;
    GrowingArray(GrowingArray&& other) noexcept { swap(other); }
    GrowingArray& operator=(GrowingArray&& other) noexcept {
        GrowingArray(std::move(other)).swap(*this);
        return *this;
    }
    void swap(GrowingArray& other) noexcept {
        data_.swap(other.data_);
        std::swap(size_, other.size_);
        std::swap(room_, other.room_);
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    const T& operator[](std::size_t i) const { return data_.get()[i]; }

    // Room for n more values, at the end.
    T* extend(std::size_t n) {
        if (n > kMost - size_) throw std::bad_alloc();
        if (size_ + n > room_) set_room(std::max(size_ + n, std::min(kMost, room_ + room_ / 2)));
        size_ += n;
        return data_.get() + size_ - n;
    }
    void shrink_to_fit() {
        if (size_ < room_) set_room(size_);
    }

  private:
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };

    void set_room(std::size_t room) {
        void* moved = std::realloc(data_.get(), std::max<std::size_t>(room, 1) * sizeof(T));
        if (moved == nullptr) throw std::bad_alloc();
        (void)data_.release();
        data_.reset(static_cast<T*>(moved));
        room_ = room;
    }

    static constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T);
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
    std::size_t room_ = 0;
};

}  // namespace vecrecall
