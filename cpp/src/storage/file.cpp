#include "storage/file.hpp"

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "platform/memory.hpp"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace vecrecall::storage {
namespace {

[[noreturn]] void refused(int error, const std::filesystem::path& path) {
    throw std::system_error(error, std::generic_category(), path.string());
}

}  // namespace

#if defined(_WIN32)

File::File(std::filesystem::path path) : path_(std::move(path)) { refused(ENOTSUP, path_); }
File::~File() = default;
void File::read(std::size_t, std::size_t, void*) const { refused(ENOTSUP, path_); }
Bytes File::read(std::size_t, std::size_t) const { refused(ENOTSUP, path_); }
Bytes File::map() const { refused(ENOTSUP, path_); }

#else

File::File(std::filesystem::path path) : path_(std::move(path)) {
    do {
        descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) refused(errno, path_);
    try {
        struct stat about{};
        if (fstat(descriptor_, &about) != 0) refused(errno, path_);
        if (!S_ISREG(about.st_mode)) {
            throw std::invalid_argument("path: expected a regular file, got something else: " +
                                        path_.string());
        }
        size_ = static_cast<std::size_t>(about.st_size);
    } catch (...) {
        close(descriptor_);
        throw;
    }
}

File::~File() { close(descriptor_); }

void File::read(std::size_t first, std::size_t n, void* to) const {
    for (std::size_t done = 0; done < n;) {
        const ssize_t got = pread(descriptor_, static_cast<std::byte*>(to) + done, n - done,
                                  static_cast<off_t>(first + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refused(errno, path_);
        if (got == 0) {
            throw std::invalid_argument("path: expected " + std::to_string(size_) + " bytes, got " +
                                        std::to_string(first + done) + " in " + path_.string());
        }
        done += static_cast<std::size_t>(got);
    }
}

Bytes File::read(std::size_t first, std::size_t n) const {
    const auto bytes = std::make_shared<Buffer<std::byte> >(n);
    read(first, n, bytes->data());
    return {bytes, bytes->data()};
}

Bytes File::map() const {
    void* start = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (start == MAP_FAILED) refused(errno, path_);
    const auto unmap = [n = size_](const std::byte* mapped) {
        munmap(const_cast<std::byte*>(mapped), n);
    };
    return {static_cast<const std::byte*>(start), unmap};
}

#endif

}  // namespace vecrecall::storage
