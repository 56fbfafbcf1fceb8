#include "storage/array_file.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace vecrecall::storage {
namespace {

constexpr std::size_t kLine = 64;  // headers fill whole ones

std::string tuple(const std::vector<std::size_t>& shape) {
    std::string text = "(";  // appended to: GCC 12 warns of a sum's copies, which never overlap
    text.append(std::to_string(shape.front())).append(",");
    if (shape.size() == 2) text.append(" ").append(std::to_string(shape.back()));
    return text.append(")");
}

// As NumPy writes it, format 1.0: two lines, with and without the room that it may leave for a
// first axis that grows.
std::string header_of(const Stored& stored) {
    const std::string about = "{'descr': '" + stored.dtype +
                              "', 'fortran_order': False, 'shape': " + tuple(stored.shape) + ", }";
    constexpr std::size_t kStart = 10;  // before the text
    constexpr std::size_t kTwoLines = 2 * kLine;
    std::string header("\x93NUMPY\x01\x00", 8);
    header.push_back(static_cast<char>(kTwoLines - kStart));
    header.push_back('\0');
    header += about;
    header.resize(kTwoLines - 1, ' ');
    return header + '\n';
}

// Where the product does not fit, more than any file holds.
std::size_t bytes_of(const Stored& stored, std::size_t header) {
    constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
    auto bytes = static_cast<std::size_t>(stored.dtype.back() - '0');
    if (std::find(stored.shape.begin(), stored.shape.end(), 0) != stored.shape.end()) bytes = 0;
    for (const std::size_t n : stored.shape) {
        if (bytes != 0 && bytes > kMost / n) return kMost;
        bytes *= n;
    }
    return bytes > kMost - header ? kMost : bytes + header;
}

}  // namespace

Bytes read_array(const std::filesystem::path& folder, const Stored& stored, Access access) {
    const File file(folder / stored.file);
    const std::string header = header_of(stored);
    const std::size_t expected = bytes_of(stored, header.size());
    const std::string in = " in " + file.path().string();
    if (file.size() != expected) {
        throw std::invalid_argument("path: expected " + std::to_string(expected) + " bytes, got " +
                                    std::to_string(file.size()) + in);
    }
    std::string found(header.size(), '\0');
    file.read(0, found.size(), found.data());
    if (found != header) {
        throw std::invalid_argument("path: expected the header of an array " + stored.dtype + " " +
                                    tuple(stored.shape) + ", got another" + in);
    }
    const std::size_t values = expected - header.size();
    if (access == Access::kRead) return file.read(header.size(), values);
    Bytes mapped = file.map();
    return {mapped, mapped.get() + header.size()};
}

}  // namespace vecrecall::storage
