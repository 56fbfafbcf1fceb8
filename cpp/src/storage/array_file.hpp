// `.npy` files, read without trust in what they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "vecrecall/files.hpp"

namespace vecrecall::storage {

// The entry of a manifest for an array.
struct Stored {
    std::string file;
    std::string dtype;
    std::vector<std::size_t> shape;  // 1 or 2 axes
};

// The values, `count` of them, of the file that holds just them. Throws as File does, and
// std::invalid_argument for a file of another size or with another header: the header is compared
// with the one that it should be, not read.
Bytes read_array(const std::filesystem::path& folder, const Stored& stored, Access access);

}  // namespace vecrecall::storage
