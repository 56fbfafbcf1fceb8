// Folders as `FlatIndex.save` writes them in Python, and damaged ones.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "vecrecall/flat_index.hpp"
#include "vecrecall/index_arrays.hpp"

namespace test {

// A new folder, removed at the end with what is in it.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "vecrecall-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// A new file: some file systems wait for the disk where one is overwritten.
inline void write_file(const std::filesystem::path& path, const std::string& content) {
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << content;
}

struct SavedArray {
    std::string dtype;
    std::string shape;  // as JSON has it: "5, 9"
    std::string bytes;
};

struct RowTypeNames {
    const char* name;
    const char* dtype;
};

inline RowTypeNames row_types(vecrecall::RowType type) {
    switch (type) {
        case vecrecall::RowType::kFloat16: return {"float16", "<f2"};
        case vecrecall::RowType::kBFloat16: return {"bfloat16", "<u2"};
        case vecrecall::RowType::kFloat32: break;
    }
    return {"float32", "<f4"};
}

using SavedArrays = std::map<std::string, SavedArray>;

template <class T>
SavedArray saved_array(const char* dtype, const std::string& shape, const T* data, std::size_t n) {
    const std::string bytes =
        n == 0 ? "" : std::string(reinterpret_cast<const char*>(data), n * sizeof(T));
    return {.dtype = dtype, .shape = shape, .bytes = bytes};
}

inline SavedArrays saved_arrays(const vecrecall::IndexArrays& parts) {
    SavedArrays all;
    const auto put = [&](const char* name, const char* dtype, const auto& part, bool needed) {
        if (part.size == 0 && !needed) return;
        all[name] = saved_array(dtype, std::to_string(part.size), part.data, part.size);
    };
    const vecrecall::RowsView& rows = parts.rows;
    const std::string shape = std::to_string(rows.rows) + ", " + std::to_string(rows.dim);
    const auto* bytes = static_cast<const char*>(rows.data);
    all["rows"] = saved_array(row_types(rows.type).dtype, shape, bytes,
                              rows.rows * rows.dim * vecrecall::value_size(rows.type));
    put("center", "<f4", parts.center, true);
    put("block_bounds", "<f8", parts.block_bounds, true);
    put("ids", "<i8", parts.ids, false);
    put("bias", "<f8", parts.bias, false);
    put("order", "<u4", parts.order, false);
    put("row_terms", "<f4", parts.row_terms, false);
    put("along", "<f4", parts.along, false);
    put("codes", "|u1", parts.codes, false);
    put("code_bounds", "<f8", parts.code_bounds, false);
    put("list_sizes", "<u4", parts.list_sizes, false);
    put("list_settings", "<i8", parts.list_settings, false);
    put("list_centers", "<f4", parts.list_centers, false);
    put("list_spreads", "<f4", parts.list_spreads, false);
    put("skipped", "<i8", vecrecall::ArrayView<std::int64_t>{}, true);
    return all;
}

inline std::string npy(const SavedArray& array) {
    const bool vector = array.shape.find(',') == std::string::npos;
    std::string about = "{'descr': '" + array.dtype + "', 'fortran_order': False, 'shape': (" +
                        array.shape + (vector ? ",), }" : "), }");
    about.resize(117, ' ');
    return std::string("\x93NUMPY\1\0v\0", 10) + about + "\n" + array.bytes;
}

inline std::string manifest_text(const SavedArrays& arrays, const std::string& metric,
                                 const std::string& row_type, const std::string& turn) {
    std::string list;
    for (const auto& [name, array] : arrays) {
        list += list.empty() ? "" : ",\n";
        list += "  \"" + name + "\": {\n   \"file\": \"" + name + "-" + turn +
                ".npy\",\n   \"dtype\": \"" + array.dtype + "\",\n   \"shape\": [" + array.shape +
                "],\n   \"checksum\": \"00000000000000000000000000000000\"\n  }";
    }
    return "{\n \"kind\": \"FlatIndex\",\n \"format\": 6,\n \"metric\": \"" + metric +
           "\",\n \"dtype\": \"" + row_type + "\",\n \"library\": \"0.1.0\",\n \"arrays\": {\n" +
           list + "\n },\n \"checksum\": \"00000000000000000000000000000000\"\n}\n";
}

// `turn`: 12 hexadecimal digits. Replaces the index that is there: its files go last.
inline void save(const vecrecall::FlatIndex& index, const std::string& metric,
                 const std::string& turn, const std::filesystem::path& folder) {
    const vecrecall::Snapshot whole = index.snapshot().compacted();
    const SavedArrays arrays = saved_arrays(whole.parts());
    for (const auto& [name, array] : arrays) {
        write_file(folder / (name + "-" + turn + ".npy"), npy(array));
    }
    write_file(folder / "new.part",
               manifest_text(arrays, metric, row_types(index.row_type()).name, turn));
    std::filesystem::rename(folder / "new.part", folder / "manifest.json");
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        const std::string name = file.path().filename().string();
        const bool of_this = name.find(turn) != std::string::npos || name == "manifest.json";
        if (!of_this) std::filesystem::remove(file.path());
    }
}

}  // namespace test
