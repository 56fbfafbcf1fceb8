// Indexes that Python's `FlatIndex.save` and `IVFIndex.save` wrote.
#pragma once

#include <filesystem>

#include "vecrecall/flat_index.hpp"
#include "vecrecall/ivf_index.hpp"

namespace vecrecall {

enum class Access {
    kMap,   // there at once, and processes share one copy; files must not be changed in place
    kRead,  // a copy in memory
};

// The index in a folder; its answers have the bits that they have in Python. It may be updated,
// which leaves the files as they are, and the folder may be saved to meanwhile and later. Needs
// POSIX.
//
// Throws std::system_error where the system refuses, as for a missing file, and
// std::invalid_argument, as `path: expected X, got Y in FILE`, where files are cut short, do not
// fit together or are not those of an index of this format. Whatever is in the files, an index that
// loads reads no memory but its own. The checks are of structure: changed values are found by
// `FlatIndex.load(path, verify=True)` in Python, which compares checksums.
FlatIndex load_flat_index(const std::filesystem::path& folder, Access access = Access::kMap);

// The same of an index of lists, with its default of probes.
IVFIndex load_ivf_index(const std::filesystem::path& folder, Access access = Access::kMap);

}  // namespace vecrecall
