#include "emulated_amx.hpp"

#include "kernels/cpu.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstring>
#include <exception>

#include "plain_tiles.hpp"

namespace test {
namespace {

namespace cpu = vecrecall::kernels::cpu;

thread_local TileFile t_tiles;
std::atomic<std::uint64_t> g_instructions{0};

// By the numbers that encode them.
constexpr int kRegisters[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};

// An instruction C4 RXB.mmmmm W.vvvv.L.pp opcode modrm [sib] [displacement].
class Decoded {
  public:
    explicit Decoded(const greg_t* registers) : registers_(registers) {
        at_ = reinterpret_cast<const std::uint8_t*>(registers[REG_RIP]);
        if (*at_ != 0xC4) return;
        const std::uint8_t extended = at_[1];
        const std::uint8_t more = at_[2];
        // The map 0F38, W and L clear.
        if ((extended & 0x1F) != 2 || (more & 0x84) != 0) return;
        prefix = more & 3;
        vvvv = (~more >> 3) & 15;
        opcode = at_[3];
        modrm_ = at_[4];
        reg = ((modrm_ >> 3) & 7) + ((extended & 0x80) == 0 ? 8 : 0);
        index_extension_ = (extended & 0x40) == 0 ? 8 : 0;
        rm_extension_ = (extended & 0x20) == 0 ? 8 : 0;
        at_ += 5;
        if (is_memory()) find_address();
    }

    bool is_memory() const { return (modrm_ >> 6) != 3; }
    int rm() const { return (modrm_ & 7) + rm_extension_; }
    bool has_sib() const { return is_memory() && (modrm_ & 7) == 4; }
    const std::uint8_t* next() const { return at_; }

    int prefix = -1;  // 0 none, 1 66, 2 F3, 3 F2; -1 where the instruction is none of these
    int vvvv = 0;
    int opcode = 0;
    int reg = 0;
    std::uint64_t address = 0;  // without the index, which is the stride of tiles
    std::uint64_t stride = 0;

  private:
    std::uint64_t value(int number) const {
        return static_cast<std::uint64_t>(registers_[kRegisters[number]]);
    }
    template <class T>
    std::uint64_t displacement() {
        T d;
        std::memcpy(&d, at_, sizeof(d));
        at_ += sizeof(d);
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(d));
    }
    void find_address() {
        const int mod = modrm_ >> 6;
        int base = modrm_ & 7;
        if (base == 4) {
            const std::uint8_t sib = *at_++;
            base = sib & 7;
            const int index = ((sib >> 3) & 7) + index_extension_;
            if (index != 4) stride = value(index) << (sib >> 6);
        } else if (base == 5 && mod == 0) {  // relative to what follows
            address = displacement<std::int32_t>();
            address += reinterpret_cast<std::uint64_t>(at_);
            return;
        }
        if (base == 5 && mod == 0) address = displacement<std::int32_t>();
        else address = value(base + rm_extension_);
        if (mod == 1) address += displacement<std::int8_t>();
        if (mod == 2) address += displacement<std::int32_t>();
    }

    const greg_t* registers_;
    const std::uint8_t* at_;
    std::uint8_t modrm_ = 0;
    int index_extension_ = 0;
    int rm_extension_ = 0;
};

// False where it is not one of the matrix unit.
bool execute(const Decoded& i) {
    TileFile& tiles = t_tiles;
    void* const memory = reinterpret_cast<void*>(i.address);
    if (i.opcode == 0x49 && i.is_memory() && i.prefix <= 1 && i.reg == 0) {
        TileFile::Shapes shapes = tiles.shapes();
        if (i.prefix == 0) {  // LDTILECFG
            std::memcpy(&shapes, memory, sizeof(shapes));
            tiles.configure(shapes);
        } else {  // STTILECFG
            std::memcpy(memory, &shapes, sizeof(shapes));
        }
    } else if (i.opcode == 0x49 && !i.is_memory() && i.prefix == 0 && i.reg + i.rm() == 0) {
        tiles.release();
    } else if (i.opcode == 0x49 && !i.is_memory() && i.prefix == 3 && i.rm() == 0) {
        tiles.zero(i.reg);
    } else if (i.opcode == 0x4B && i.has_sib() && (i.prefix == 1 || i.prefix == 3)) {
        tiles.load(i.reg, memory, i.stride);  // TILELOADDT1, TILELOADD
    } else if (i.opcode == 0x4B && i.has_sib() && i.prefix == 2) {
        tiles.store(i.reg, memory, i.stride);
    } else if (i.opcode == 0x5E && !i.is_memory() && i.prefix == 2) {
        tiles.multiply(i.reg, i.rm(), i.vvvv);
    } else {
        return false;
    }
    return true;
}

void on_illegal_instruction(int signal, siginfo_t*, void* context) {
    greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const Decoded instruction(registers);
    if (instruction.prefix >= 0) {
        try {
            if (execute(instruction)) {
                registers[REG_RIP] = reinterpret_cast<greg_t>(instruction.next());
                g_instructions.fetch_add(1, std::memory_order_relaxed);
                return;
            }
        } catch (const std::exception&) {  // the processor's own answer follows
        }
    }
    ::signal(signal, SIG_DFL);
}

bool has_vectors() { return cpu::lack_of(cpu::kX86V4 | cpu::kX86Vnni) == cpu::Lack::kNothing; }

bool is_real() { return cpu::lack_of(cpu::kX86Amx) == cpu::Lack::kNothing; }

bool has_instructions() { return (cpu::host::features().of_processor & cpu::kX86Amx) != 0; }

}  // namespace

bool emulate_amx() {
    struct sigaction action{};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    return sigaction(SIGILL, &action, nullptr) == 0;
}

bool amx_is_emulated() { return has_vectors() && !has_instructions(); }

// Where the processor has them but the kernel refused, some would run and others not.
bool execute_amx() {
    if (!amx_is_emulated()) return is_real();
    static const bool emulating = emulate_amx();
    return emulating;
}

std::uint64_t emulated_amx_instructions() { return g_instructions; }

}  // namespace test

#else

namespace test {
bool execute_amx() { return false; }
bool emulate_amx() { return false; }
bool amx_is_emulated() { return false; }
std::uint64_t emulated_amx_instructions() { return 0; }
}  // namespace test

#endif
