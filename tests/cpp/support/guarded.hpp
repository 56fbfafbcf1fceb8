// Memory that ends where nothing can be read any more.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace test {

class GuardedBytes {
  public:
    explicit GuardedBytes(std::size_t size) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        mapped_ = (size + page - 1) / page * page + page;
        pages_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages_ == MAP_FAILED) throw std::bad_alloc();
        unsigned char* const guard = static_cast<unsigned char*>(pages_) + mapped_ - page;
        if (mprotect(guard, page, PROT_NONE) != 0) throw std::bad_alloc();
        data_ = guard - size;
    }
    ~GuardedBytes() { munmap(pages_, mapped_); }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;

    unsigned char* data() const { return data_; }

  private:
    void* pages_;
    std::size_t mapped_;
    unsigned char* data_;
};

}  // namespace test
