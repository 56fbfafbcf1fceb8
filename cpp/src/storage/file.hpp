// Regular files, opened for reading. All that the library asks of POSIX about files is behind this.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace vecrecall::storage {

// Bytes of a file, kept as long as anyone holds them.
using Bytes = std::shared_ptr<const std::byte>;

class File {
  public:
    // Throws std::system_error where the system refuses (also std::errc::not_supported, where it is
    // none of POSIX), std::invalid_argument for what is no regular file; a pipe does not block.
    explicit File(std::filesystem::path path);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::size_t size() const { return size_; }  // when it was opened

    // Bytes first .. first + n - 1. A file that has become shorter is std::invalid_argument.
    void read(std::size_t first, std::size_t n, void* to) const;
    Bytes read(std::size_t first, std::size_t n) const;
    // The whole file where it lies, size() > 0. One that becomes shorter ends the process.
    Bytes map() const;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::size_t size_ = 0;
};

}  // namespace vecrecall::storage
