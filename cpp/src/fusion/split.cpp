#include "fusion/split.hpp"

#include <algorithm>
#include <array>

#include "vecrecall/merge.hpp"

namespace vecrecall::fusion {
namespace {

__extension__ using Wide = unsigned __int128;  // a share times a number of slots

void split_freely(std::int64_t total, std::span<Portion> portions) {
    Wide sum = 0;
    for (const Portion& p : portions) sum += p.open ? p.share : 0;
    struct Claim {
        Wide remainder;
        std::size_t portion;
    };
    std::array<Claim, kMaxChannels> claims;
    std::size_t n = 0;
    std::int64_t left = sum == 0 ? 0 : total;
    for (std::size_t i = 0; i < portions.size(); ++i) {
        if (!portions[i].open) continue;
        portions[i].slots = 0;
        if (portions[i].share == 0) continue;
        const Wide claim = static_cast<Wide>(total) * portions[i].share;
        portions[i].slots = static_cast<std::int64_t>(claim / sum);
        left -= portions[i].slots;
        claims[n++] = {claim % sum, i};
    }
    std::sort(claims.begin(), claims.begin() + n, [](const Claim& a, const Claim& b) {
        return a.remainder != b.remainder ? a.remainder > b.remainder : a.portion < b.portion;
    });
    for (std::size_t i = 0; i < static_cast<std::size_t>(left); ++i) {
        ++portions[claims[i].portion].slots;
    }
}

}  // namespace

void split(std::int64_t total, std::span<Portion> portions) {
    while (std::ranges::any_of(portions, &Portion::open)) {
        split_freely(total, portions);
        std::int64_t over = 0;
        std::int64_t under = 0;
        for (const Portion& p : portions) {
            if (!p.open) continue;
            over += std::max<std::int64_t>(0, p.slots - p.high);
            under += std::max<std::int64_t>(0, p.low - p.slots);
        }
        if (over == 0 && under == 0) return;
        // Only the side that weighs more is final: what it frees or needs may bring the other
        // side's portions back within their bounds.
        for (Portion& p : portions) {
            const bool at_high = p.slots > p.high && over >= under;
            const bool at_low = p.slots < p.low && under >= over;
            if (!p.open || !(at_high || at_low)) continue;
            p.slots = at_high ? p.high : p.low;
            p.open = false;
            total -= p.slots;
        }
    }
}

}  // namespace vecrecall::fusion
