#include "kernels/registry.hpp"

#include <atomic>
#include <cstdlib>
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
    &kAvx512Vnni,
    &kAvx512,
    &kAvx2,
#elif defined(__aarch64__)
    &kNeon,
#endif
    &kBaseline,
};

bool runs_here(const KernelTable& table) {
    return (table.features & cpu::detect()) == table.features;
}

std::string valid_names() {
    std::string names;
    for (const std::string& name : available_isas()) {
        names += names.empty() ? "'" : ", '";
        names += name + "'";
    }
    return names;
}

const KernelTable* find(std::string_view name) {
    for (const KernelTable* table : kTables) {
        if (table->name == name && runs_here(*table)) return table;
    }
    return nullptr;
}

const KernelTable* chosen_by_environment() {
    if (const char* name = std::getenv("VECRECALL_ISA"); name != nullptr && *name != '\0') {
        if (const KernelTable* table = find(name)) return table;
        throw std::invalid_argument(std::string("VECRECALL_ISA: expected one of ") + valid_names() +
                                    " (what this machine can run), got '" + name + "'");
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
    throw std::invalid_argument(std::string("isa: expected one of ") + valid_names() +
                                " (what this machine can run), got '" + name + "'");
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

void set_isa(const std::string& name) {
    kernels::g_current.store(&kernels::named(name), std::memory_order_release);
}

}  // namespace vecrecall
