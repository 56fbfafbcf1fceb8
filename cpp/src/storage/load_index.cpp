#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "storage/manifest.hpp"
#include "vecrecall/files.hpp"
#include "vecrecall/index_arrays.hpp"

namespace vecrecall {
namespace {

using storage::Manifest;

// The arrays of one save, as long as an index borrows them.
class Arrays {
  public:
    Arrays(const std::filesystem::path& folder, const Manifest& manifest, Access access)
        : manifest_(manifest) {
        for (const auto& [name, stored] : manifest.arrays) {
            bytes_.emplace(name, storage::read_array(folder, stored, access));
        }
    }

    IndexArrays parts() const {
        return {.metric = manifest_.metric,
                .rows = rows(),
                .ids = part<std::int64_t>("ids"),
                .bias = part<double>("bias"),
                .order = part<std::uint32_t>("order"),
                .center = part<float>("center"),
                .row_terms = part<float>("row_terms"),
                .along = part<float>("along"),
                .block_bounds = part<double>("block_bounds"),
                .codes = part<std::uint8_t>("codes"),
                .code_bounds = part<double>("code_bounds"),
                .list_centers = part<float>("list_centers"),
                .list_sizes = part<std::uint32_t>("list_sizes"),
                .list_spreads = part<float>("list_spreads"),
                .list_settings = part<std::int64_t>("list_settings")};
    }

  private:
    // Aligned: a line of 64 bytes behind the start of a map, or a buffer of its own.
    template <class T>
    const T* values(std::string_view name) const {
        return reinterpret_cast<const T*>(bytes_.find(name)->second.get());
    }

    RowsView rows() const {
        const std::vector<std::size_t>& shape = manifest_.arrays.find("rows")->second.shape;
        const RowPointer first(bytes_.find("rows")->second.get(), manifest_.row_type);
        return {first, shape[0], shape[1]};
    }

    template <class T>
    ArrayView<T> part(std::string_view name) const {
        const auto found = manifest_.arrays.find(name);
        if (found == manifest_.arrays.end()) return {};
        return {values<T>(name), found->second.shape[0]};
    }

    Manifest manifest_;
    std::map<std::string, storage::Bytes, std::less<>> bytes_;
};

// The arrays that the manifest names at one moment. A save puts a new manifest in place and then
// removes the files of the last one: where one is missing, there may be a new manifest.
std::shared_ptr<const Arrays> read_arrays(const std::filesystem::path& folder,
                                          std::string_view kind, Access access) {
    for (;;) {
        const std::string text = storage::read_manifest(folder);
        const Manifest manifest = storage::parse_manifest(text, kind, folder);
        try {
            return std::make_shared<const Arrays>(folder, manifest, access);
        } catch (const std::system_error& error) {
            const bool missing = error.code() == std::errc::no_such_file_or_directory;
            if (!missing || storage::read_manifest(folder) == text) throw;
        }
    }
}

template <class Index>
Index load(const std::filesystem::path& folder, std::string_view kind, Access access) {
    if constexpr (std::endian::native != std::endian::little) {
        throw std::system_error(std::make_error_code(std::errc::not_supported), folder.string());
    }
    // All files from one place, whichever folder the process changes to meanwhile.
    const std::filesystem::path absolute =
        folder.is_absolute() ? folder : std::filesystem::current_path() / folder;
    const std::shared_ptr<const Arrays> arrays = read_arrays(absolute, kind, access);
    try {
        return Index(arrays->parts(), arrays);
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("path: expected a whole index in " + absolute.string() +
                                    ", got " + error.what());
    }
}

}  // namespace

FlatIndex load_flat_index(const std::filesystem::path& folder, Access access) {
    return load<FlatIndex>(folder, "FlatIndex", access);
}

IVFIndex load_ivf_index(const std::filesystem::path& folder, Access access) {
    return load<IVFIndex>(folder, "IVFIndex", access);
}

}  // namespace vecrecall
