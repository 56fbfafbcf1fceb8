#include "feed/sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "feed/decay.hpp"

namespace vecrecall::feed {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kStay = 16;              // half-lives that a sum may be ahead of its time
constexpr double kClearly = 1 - 0x1p-30;  // what rounding makes differ is alike

}  // namespace

// The time stays while clicks are near it: were the sum decayed for each of them, the error of one
// factor would be raised to a high power.
void Sum::add(const Sum& later, double half_life) {
    if (total() == 0) {
        *this = later;
        return;
    }
    newest = later.newest;
    const double ahead = half_lives(time, newest, half_life);
    if (ahead > kStay) {
        const double factor = exp2(-ahead);
        value *= factor;
        rest *= factor;
        time = newest;
    }
    const double factor = exp2(half_lives(time, later.time, half_life));
    const double term = later.value * factor;
    const double sum = value + term;
    if (sum > kLargest) {
        value = kLargest;
        rest = 0;
        return;
    }
    rest += (value >= term ? (value - sum) + term : (term - sum) + value) + later.rest * factor;
    value = sum;
}

// In loops that become vector code.
std::size_t Sums::least_loss(const std::array<Sum, kMost + 1>& sums, double half_life) const {
    std::array<double, 2 * kMost> factors;  // to the sum's newest click; from there to the next's
    for (std::size_t i = 0; i < kMost; ++i) {
        factors[i] = half_lives(sums[i].newest, sums[i].time, half_life);
        factors[kMost + i] = half_lives(sums[i + 1].newest, sums[i].newest, half_life);
    }
    for (double& x : factors) x = exp2(x);
    std::size_t best = 0;
    double least = kInf;
    for (std::size_t i = 0; i < kMost; ++i) {
        const double share = 1 - factors[kMost + i];
        const double loss = sums[i].total() * factors[i] * share * share;
        if (loss < least * kClearly) {
            least = loss;
            best = i;
        }
    }
    return best;
}

void Sums::add(double time, double weight, double half_life) {
    const Sum click{weight, 0, time, time};
    std::size_t place = size_;
    while (place > 0 && sums_[place - 1].newest > time) --place;
    if (place > 0 && sums_[place - 1].newest == time) {
        sums_[place - 1].add(click, half_life);
        return;
    }
    if (size_ < kMost) {
        std::copy_backward(sums_.begin() + place, sums_.begin() + size_, sums_.begin() + size_ + 1);
        sums_[place] = click;
        ++size_;
        return;
    }
    std::array<Sum, kMost + 1> all;
    std::copy_n(sums_.begin(), place, all.begin());
    all[place] = click;
    std::copy_n(sums_.begin() + place, kMost - place, all.begin() + place + 1);
    const std::size_t first = least_loss(all, half_life);
    all[first].add(all[first + 1], half_life);
    std::copy_n(all.begin(), first + 1, sums_.begin());
    std::copy_n(all.begin() + first + 2, kMost - first - 1, sums_.begin() + first + 1);
}

double Sums::log2_at(double now, double base, double half_life) const {
    if (size_ == 0) return -kInf;
    const double latest = std::min(now, sums_[size_ - 1].newest);
    std::array<double, kMost> factors{};
    for (std::size_t i = 0; i < size_; ++i) {
        // A sum of later clicks is worth at `latest` what it is at its newest.
        const double then = std::max(latest, sums_[i].newest);
        factors[i] = half_lives(then, sums_[i].time, half_life);
    }
    for (double& x : factors) x = exp2(x);
    double sum = 0;
    for (std::size_t i = 0; i < size_; ++i) sum += sums_[i].total() * factors[i];
    if (sum == 0) return -kInf;
    return log2(std::min(sum, kLargest)) + half_lives(base, latest, half_life);
}

}  // namespace vecrecall::feed
