#include "kernels/registry.hpp"

#include <atomic>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/cpu.hpp"
#include "vecrecall/isa.hpp"

namespace vecrecall {
namespace kernels {
namespace {

// Best first: the first one that the machine can run is the default.
constexpr const KernelTable* kTables[] = {
#if defined(__x86_64__)
#if defined(VECRECALL_HAS_AMX)
    &kAmx,
#endif
    &kAvx512Vnni, &kAvx512, &kAvx2,
#elif defined(__aarch64__)
    &kNeon,
#endif
    &kBaseline,
};

// Sets of this architecture that the compiler did not know.
constexpr std::initializer_list<const char*> kNotBuilt = {
#if defined(__x86_64__) && !defined(VECRECALL_HAS_AMX)
    "amx",
#endif
};

// A tile has 64 dimensions. From here on they save more than the store of its sums costs.
constexpr std::size_t kFewestTiledDims = 48;

cpu::Lack lack_of(const KernelTable& table) { return cpu::lack_of(table.features); }

bool runs_here(const KernelTable& table) { return lack_of(table) == cpu::Lack::kNothing; }

// By name, also what cannot run here; or null.
const KernelTable* known(std::string_view name) {
    for (const KernelTable* table : kTables) {
        if (table->name == name) return table;
    }
    return nullptr;
}

// Of a set that cannot run here; nothing where the name is of none.
std::string reason_of(std::string_view name) {
    if (const KernelTable* table = known(name)) return cpu::describe(lack_of(*table));
    for (const char* absent : kNotBuilt) {
        if (name == absent) return "the compiler of this build did not know it";
    }
    return "";
}

std::string expected_names(const std::string& name) {
    std::string text = "expected one of ";
    const char* separator = "";
    for (const std::string& valid : available_isas()) {
        text += separator + ("'" + valid) + "'";
        separator = ", ";
    }
    text += " (what this machine can run), got '" + name + "'";
    const std::string reason = reason_of(name);
    return reason.empty() ? text : text + ", which cannot run here: " + reason;
}

const KernelTable* find(std::string_view name) {
    const KernelTable* table = known(name);
    return table != nullptr && runs_here(*table) ? table : nullptr;
}

const KernelTable* chosen_by_environment() {
    if (const char* name = std::getenv("VECRECALL_ISA"); name != nullptr && *name != '\0') {
        if (const KernelTable* table = find(name)) return table;
        throw std::invalid_argument("VECRECALL_ISA: " + expected_names(name));
    }
    for (const KernelTable* table : kTables) {
        if (runs_here(*table)) return table;
    }
    return &kBaseline;
}

std::atomic<const KernelTable*> g_current{nullptr};

}  // namespace

const KernelTable& active() {
    const KernelTable* table = g_current.load(std::memory_order_acquire);
    if (table == nullptr) {
        const KernelTable* chosen = chosen_by_environment();
        // A concurrent set_isa wins over the environment.
        if (g_current.compare_exchange_strong(table, chosen)) table = chosen;
    }
    return *table;
}

const KernelTable& named(const std::string& name) {
    if (const KernelTable* table = find(name)) return *table;
    throw std::invalid_argument("isa: " + expected_names(name));
}

const KernelTable& for_width(const KernelTable& table, std::size_t dim) {
    return table.vectors != nullptr && dim < kFewestTiledDims ? *table.vectors : table;
}

}  // namespace kernels

std::string isa() { return kernels::active().name; }

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const kernels::KernelTable* table : kernels::kTables) {
        if (kernels::runs_here(*table)) names.emplace_back(table->name);
    }
    return names;
}

std::vector<UnavailableIsa> unavailable_isas() {
    std::vector<UnavailableIsa> found;
    for (const char* name : kernels::kNotBuilt) found.push_back({name, kernels::reason_of(name)});
    for (const kernels::KernelTable* table : kernels::kTables) {
        if (!kernels::runs_here(*table)) {
            found.push_back({table->name, kernels::reason_of(table->name)});
        }
    }
    return found;
}

void set_isa(const std::string& name) {
    kernels::g_current.store(&kernels::named(name), std::memory_order_release);
}

}  // namespace vecrecall
