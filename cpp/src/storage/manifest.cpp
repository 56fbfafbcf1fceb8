#include "storage/manifest.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "storage/json.hpp"

namespace vecrecall::storage {
namespace {

constexpr std::size_t kLongest = std::size_t{1} << 20;
constexpr std::int64_t kFormat = 6;
constexpr std::int64_t kOldestFormat = 3;  // which has no lists; 4 has float32 rows alone, 5 no
                                           // spreads of lists
constexpr std::size_t kLongestQuote = 80;

constexpr std::string_view kRows = "rows";

struct KnownRowType {
    std::string_view name;
    std::string_view dtype;  // of files: NumPy has no bfloat16
    RowType type;
};

constexpr std::array kRowTypes{
    KnownRowType{"float32", "<f4", RowType::kFloat32},
    KnownRowType{"float16", "<f2", RowType::kFloat16},
    KnownRowType{"bfloat16", "<u2", RowType::kBFloat16},
};

struct KnownArray {
    std::string_view name;
    std::string_view dtype;
    std::size_t axes = 1;
    bool needed = false;
};

// The arrays that an index may have. Python's lists are in `_flat_index.py` and `_ivf_index.py`.
constexpr std::array kArrays{
    KnownArray{kRows, "", 2, true},  // of the type that the manifest names
    KnownArray{"center", "<f4", 1, true},
    KnownArray{"block_bounds", "<f8", 1, true},
    KnownArray{"skipped", "<i8", 1, true},
    KnownArray{"ids", "<i8"},
    KnownArray{"bias", "<f8"},
    KnownArray{"order", "<u4"},
    KnownArray{"row_terms", "<f4"},
    KnownArray{"along", "<f4"},
    KnownArray{"codes", "|u1"},
    KnownArray{"code_bounds", "<f8"},
    KnownArray{"list_centers", "<f4"},
    KnownArray{"list_sizes", "<u4"},
    KnownArray{"list_spreads", "<f4"},
    KnownArray{"list_settings", "<i8"},
};

std::filesystem::path manifest_path(const std::filesystem::path& folder) {
    return folder / "manifest.json";
}

// Throws the errors of one manifest.
class Reader {
  public:
    explicit Reader(const std::filesystem::path& folder) : file_(manifest_path(folder).string()) {}

    Manifest manifest(std::string_view text, std::string_view expected) const {
        const Json whole = json(text);
        if (whole.kind != Json::Kind::kObject) refuse("a manifest with names", &whole);
        const Json* kind = whole.find("kind");
        if (!is_string(kind) || kind->string != expected) {
            refuse("a saved " + std::string(expected), kind);
        }
        const Json* format = whole.find("format");
        if (!is_integer(format) || format->integer < kOldestFormat || format->integer > kFormat) {
            refuse("format " + std::to_string(kFormat), format);
        }
        const Json* checksum = whole.find("checksum");
        if (!is_string(checksum)) refuse("a checksum", checksum);
        const KnownRowType& rows = row_type(whole.find("dtype"));
        return {.metric = metric(whole.find("metric")),
                .row_type = rows.type,
                .arrays = arrays(whole.find("arrays"), rows.dtype)};
    }

  private:
    // Quotes the beginning of what is there, on one line.
    [[noreturn]] void refuse(const std::string& expected, const Json* got) const {
        std::string quote(got == nullptr ? "none" : got->text.substr(0, kLongestQuote));
        std::replace(quote.begin(), quote.end(), '\n', ' ');
        if (got != nullptr && got->text.size() > kLongestQuote) quote += "...";
        throw std::invalid_argument("path: expected " + expected + ", got " + quote + " in " +
                                    file_);
    }

    static bool is_string(const Json* value) {
        return value != nullptr && value->kind == Json::Kind::kString;
    }
    static bool is_integer(const Json* value) {
        return value != nullptr && value->kind == Json::Kind::kInteger;
    }

    Json json(std::string_view text) const {
        try {
            return parse_json(text);
        } catch (const std::invalid_argument& error) {
            throw std::invalid_argument(std::string("path: expected a JSON manifest, got ") +
                                        error.what() + " in " + file_);
        }
    }

    Metric metric(const Json* value) const {
        if (is_string(value)) {
            if (value->string == "ip") return Metric::kIp;
            if (value->string == "cosine") return Metric::kCosine;
            if (value->string == "l2") return Metric::kL2;
        }
        refuse("one of \"ip\", \"cosine\", \"l2\"", value);
    }

    // Where the manifest names none: float32.
    const KnownRowType& row_type(const Json* value) const {
        if (value == nullptr) return kRowTypes.front();
        const auto* found = std::find_if(
            kRowTypes.begin(), kRowTypes.end(),
            [&](const KnownRowType& t) { return is_string(value) && t.name == value->string; });
        if (found == kRowTypes.end()) {
            refuse("one of \"float32\", \"float16\", \"bfloat16\"", value);
        }
        return *found;
    }

    std::map<std::string, Stored, std::less<>> arrays(const Json* value,
                                                      std::string_view row_dtype) const {
        if (value == nullptr || value->kind != Json::Kind::kObject) {
            refuse("a manifest with arrays", value);
        }
        std::map<std::string, Stored, std::less<>> all;
        for (std::size_t i = 0; i < value->names.size(); ++i) {
            const std::string& name = value->names[i];
            const auto* known = std::find_if(kArrays.begin(), kArrays.end(),
                                             [&](const KnownArray& a) { return a.name == name; });
            if (known == kArrays.end()) refuse("an array of an index", &value->values[i]);
            const bool rows = known->name == kRows;
            all.emplace(name, stored(*known, rows ? row_dtype : known->dtype, value->values[i]));
        }
        for (const KnownArray& known : kArrays) {
            if (known.needed && !all.contains(known.name)) {
                refuse("an array " + std::string(known.name), value);
            }
        }
        return all;
    }

    Stored stored(const KnownArray& known, std::string_view expected, const Json& of) const {
        const std::string for_name = " for " + std::string(known.name);
        const Json* file = of.find("file");
        const Json* dtype = of.find("dtype");
        const Json* shape = of.find("shape");
        const Json* checksum = of.find("checksum");
        const bool whole = file != nullptr && dtype != nullptr && shape != nullptr;
        if (!whole || checksum == nullptr || of.values.size() != 4) {
            refuse("file, dtype, shape and checksum" + for_name, &of);
        }
        if (!is_string(file) || !is_array_name(file->string)) {
            refuse("the name of a file" + for_name, file);
        }
        if (!is_string(dtype) || dtype->string != expected) {
            refuse("dtype " + std::string(expected) + for_name, dtype);
        }
        if (!is_shape(*shape, known.axes)) {
            refuse("a shape of " + std::to_string(known.axes) + " axes" + for_name, shape);
        }
        if (!is_string(checksum)) refuse("a checksum" + for_name, checksum);
        Stored stored{.file = file->string, .dtype = dtype->string, .shape = {}};
        for (const Json& n : shape->values) {
            stored.shape.push_back(static_cast<std::size_t>(n.integer));
        }
        return stored;
    }

    // As a save names its files: `rows-0123456789ab.npy`. No other character, so no other folder.
    static bool is_array_name(std::string_view name) {
        constexpr std::string_view kEnd = ".npy";
        constexpr std::size_t kTurn = 12;
        const std::size_t dash = name.find('-');
        if (dash == 0 || dash == std::string_view::npos) return false;
        const auto is_name = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
        const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
        const std::string_view start = name.substr(0, dash);
        const std::string_view turn = name.substr(dash + 1, kTurn);
        return std::all_of(start.begin(), start.end(), is_name) && turn.size() == kTurn &&
               std::all_of(turn.begin(), turn.end(), is_hex) &&
               name.substr(dash + 1 + kTurn) == kEnd;
    }

    static bool is_shape(const Json& shape, std::size_t axes) {
        return shape.kind == Json::Kind::kArray && shape.values.size() == axes &&
               std::all_of(shape.values.begin(), shape.values.end(),
                           [](const Json& n) { return is_integer(&n) && n.integer >= 0; });
    }

    std::string file_;
};

}  // namespace

std::string read_manifest(const std::filesystem::path& folder) {
    const File file(manifest_path(folder));
    if (file.size() > kLongest) {
        throw std::invalid_argument("path: expected a manifest of at most " +
                                    std::to_string(kLongest) + " bytes, got " +
                                    std::to_string(file.size()) + " in " + file.path().string());
    }
    std::string text(file.size(), '\0');
    file.read(0, text.size(), text.data());
    return text;
}

Manifest parse_manifest(std::string_view text, std::string_view kind,
                        const std::filesystem::path& folder) {
    return Reader(folder).manifest(text, kind);
}

}  // namespace vecrecall::storage
