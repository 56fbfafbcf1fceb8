// The manifest of a saved index: what it is, and which files hold its arrays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "storage/array_file.hpp"
#include "vecrecall/flat_index.hpp"

namespace vecrecall::storage {

struct Manifest {
    Metric metric;
    std::map<std::string, Stored, std::less<>> arrays;
};

std::string read_manifest(const std::filesystem::path& folder);

// It is of this kind of index; all arrays are known ones, with the dtype and as many axes as they
// must have, and none that is needed is missing. Throws std::invalid_argument otherwise; `folder`
// is for the message.
Manifest parse_manifest(std::string_view text, std::string_view kind,
                        const std::filesystem::path& folder);

}  // namespace vecrecall::storage
