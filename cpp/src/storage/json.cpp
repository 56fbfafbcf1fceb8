#include "storage/json.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace vecrecall::storage {
namespace {

constexpr int kDeepest = 8;  // values within values, as in Python; a manifest has five

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Json whole() {
        Json value = any(1);
        skip_space();
        if (at_ != text_.size()) fail("more text");
        return value;
    }

  private:
    [[noreturn]] void fail(const char* what) const {
        throw std::invalid_argument(std::string(what) + " at byte " + std::to_string(at_));
    }

    // 0 at the end, and for a byte that is 0: neither begins anything.
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    bool take(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    bool take(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    void skip_space() {
        while (take(' ') || take('\n') || take('\r') || take('\t')) continue;
    }

    Json any(int depth) {
        skip_space();
        if (depth > kDeepest) fail("values too deep within values");
        const std::size_t start = at_;
        Json value;
        if (peek() == '{') object(value, depth);
        else if (peek() == '[') array(value, depth);
        else if (peek() == '"') {
            value.kind = Json::Kind::kString;
            value.string = string();
        } else if (peek() == '-' || is_digit(peek())) number(value);
        else if (take("true") || take("false")) value.kind = Json::Kind::kBoolean;
        else if (!take("null")) fail("no value");
        value.text = text_.substr(start, at_ - start);
        return value;
    }

    void object(Json& value, int depth) {
        value.kind = Json::Kind::kObject;
        take('{');
        skip_space();
        if (take('}')) return;
        do {
            skip_space();
            value.names.push_back(string());
            skip_space();
            if (!take(':')) fail("no colon");
            value.values.push_back(any(depth + 1));
            skip_space();
        } while (take(','));
        if (!take('}')) fail("no comma or brace");
        refuse_repeated(value.names);
    }

    void array(Json& value, int depth) {
        value.kind = Json::Kind::kArray;
        take('[');
        skip_space();
        if (take(']')) return;
        do {
            value.values.push_back(any(depth + 1));
            skip_space();
        } while (take(','));
        if (!take(']')) fail("no comma or bracket");
    }

    void refuse_repeated(const std::vector<std::string>& names) const {
        std::vector<std::string_view> sorted(names.begin(), names.end());
        std::sort(sorted.begin(), sorted.end());
        if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
            fail("a repeated name");
        }
    }

    std::string string() {
        if (!take('"')) fail("no string");
        std::string out;
        while (!take('"')) {
            const char c = peek();
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x20 || byte >= 0x80) fail("no ASCII character");
            ++at_;
            if (c == '\\') escape(out);
            else out.push_back(c);
        }
        return out;
    }

    void escape(std::string& out) {
        constexpr std::string_view kNames = "\"\\/bfnrt";
        constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
        if (take('u')) {
            append(code_unit(), out);
            return;
        }
        const std::size_t which = kNames.find(peek());
        if (which == std::string_view::npos) fail("no escape");
        ++at_;
        out.push_back(kMeant[which]);
    }

    unsigned code_unit() {
        unsigned unit = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
        if (error != std::errc{} || end - digits.data() != 4) fail("no four hexadecimal digits");
        at_ += 4;
        return unit;
    }

    // Each half of a surrogate pair by itself: names are compared, never shown.
    static void append(unsigned unit, std::string& out) {
        if (unit < 0x80) {
            out.push_back(static_cast<char>(unit));
            return;
        }
        if (unit < 0x800) {
            out.push_back(static_cast<char>(0xC0 | (unit >> 6)));
        } else {
            out.push_back(static_cast<char>(0xE0 | (unit >> 12)));
            out.push_back(static_cast<char>(0x80 | (unit >> 6 & 0x3F)));
        }
        out.push_back(static_cast<char>(0x80 | (unit & 0x3F)));
    }

    void digits() {
        if (!is_digit(peek())) fail("no digit");
        while (is_digit(peek())) ++at_;
    }

    void number(Json& value) {
        const std::size_t start = at_;
        value.kind = Json::Kind::kInteger;
        take('-');
        if (!take('0')) digits();  // no other number begins with 0
        if (take('.')) {
            value.kind = Json::Kind::kReal;
            digits();
        }
        if (take('e') || take('E')) {
            value.kind = Json::Kind::kReal;
            if (!take('-')) take('+');
            digits();
        }
        if (value.kind == Json::Kind::kReal) return;
        const char* end = text_.data() + at_;
        if (std::from_chars(text_.data() + start, end, value.integer).ec != std::errc{}) {
            value.kind = Json::Kind::kReal;
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view name) const {
    const auto found = std::find(names.begin(), names.end(), name);
    if (kind != Kind::kObject || found == names.end()) return nullptr;
    return &values[static_cast<std::size_t>(found - names.begin())];
}

Json parse_json(std::string_view text) { return Parser(text).whole(); }

}  // namespace vecrecall::storage
