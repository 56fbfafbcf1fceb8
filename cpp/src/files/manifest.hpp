// The manifest of a saved index: what it is, and which files hold its arrays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "files/array_file.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::files {

struct Manifest {
    Metric metric;
    std::map<std::string, Stored, std::less<>> arrays;
};

// The arrays that an index may have.
struct KnownArray {
    std::string_view name;
    std::string_view dtype;
    std::size_t axes = 1;
    bool needed = false;
};

std::filesystem::path manifest_path(const std::filesystem::path& folder);

std::string read_manifest(const std::filesystem::path& folder);

// All arrays are known ones, with the dtype and as many axes as they must have, and none that is
// needed is missing. Throws std::invalid_argument otherwise; `folder` is for the message.
Manifest parse_manifest(std::string_view text, const std::filesystem::path& folder);

}  // namespace vecrecall::files
