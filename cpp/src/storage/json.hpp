// Reads a JSON text that may be hostile. A reader of our own, as the library depends on nothing; it
// knows what a manifest needs: ASCII text, of which names and values are kept as they stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vecrecall::storage {

struct Json {
    enum class Kind { kNull, kBoolean, kInteger, kReal, kString, kArray, kObject };

    Kind kind = Kind::kNull;
    std::string_view text;           // of the source
    std::int64_t integer = 0;        // of kInteger; integers beyond it are kReal, without a value
    std::string string;              // of kString, without escapes
    std::vector<std::string> names;  // of kObject, unique, one per value
    std::vector<Json> values;        // of kArray and kObject

    // The value of an object's name, or null.
    const Json* find(std::string_view name) const;
};

// Throws std::invalid_argument that says what is where it should not be. Views lead into `text`.
Json parse_json(std::string_view text);

}  // namespace vecrecall::storage
