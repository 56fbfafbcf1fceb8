#include "core/pooling.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "vecrecall/cancel.hpp"

namespace vecrecall {
namespace {

// Values: a few milliseconds, where rows lie anywhere.
constexpr std::size_t kPiece = std::size_t{1} << 22;

kernels::PoolBag piece_of(const kernels::PoolBag& bag, std::size_t first, std::size_t n) {
    kernels::PoolBag piece = bag;
    piece.rows += first;
    if (bag.weights != nullptr) piece.weights += first;
    piece.n_rows = n;
    const std::size_t passed = std::min(first, bag.n_entries);
    piece.entries += passed;
    piece.n_entries -= passed;
    return piece;
}

}  // namespace

// Each piece begins with what those before it gave; the last gives what is wanted.
bool combine_bag(bool (*kernel)(const kernels::PoolBag&), const kernels::PoolBag& bag) {
    const std::size_t rows = std::max<std::size_t>(1, kPiece / std::max<std::size_t>(1, bag.dim));
    if (bag.n_rows <= rows) return kernel(bag);
    std::vector<double> before(bag.dim);
    std::vector<double> sums(bag.dim);
    bool finite = true;
    std::size_t first = 0;
    for (; bag.n_rows - first > rows; first += rows) {
        check_cancelled();
        kernels::PoolBag piece = piece_of(bag, first, rows);
        piece.before = first == 0 ? nullptr : before.data();
        piece.sums = sums.data();
        piece.out = nullptr;
        finite &= kernel(piece);
        before.swap(sums);
    }
    kernels::PoolBag last = piece_of(bag, first, bag.n_rows - first);
    last.before = before.data();
    return kernel(last) && finite;
}

}  // namespace vecrecall
