// Which entry has the lowest key, where keys only ever rise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace vecrecall::feed {

// A heap that is not told when a key rises: it keeps the keys of old, which are no larger, and
// looks again at what has come to its top. Of equal keys the highest id is the weakest.
class EvictionHeap {
  public:
    bool empty() const { return heap_.empty(); }
    void clear() { heap_.clear(); }

    template <class KeyOf, class IdOf>
    void build(std::uint32_t n, const KeyOf& key_of, const IdOf& id_of) {
        heap_.clear();
        heap_.reserve(n);
        for (std::uint32_t e = 0; e < n; ++e) heap_.push_back({key_of(e), id_of(e), e});
        for (std::size_t i = n / 2; i-- > 0;) sift_down(i);
    }

    template <class KeyOf>
    std::uint32_t find(const KeyOf& key_of) {
        for (;;) {
            const std::int64_t key = key_of(heap_[0].entry);
            if (key == heap_[0].key) return heap_[0].entry;
            heap_[0].key = key;
            sift_down(0);
        }
    }

    // After find(): its entry has got another id.
    void replace(std::int64_t key, std::int64_t id) {
        heap_[0].key = key;
        heap_[0].id = id;
        sift_down(0);
    }

  private:
    struct Node {
        std::int64_t key;
        std::int64_t id;
        std::uint32_t entry;

        bool weaker(const Node& other) const {
            return key != other.key ? key < other.key : id > other.id;
        }
    };

    void sift_down(std::size_t i) {
        const Node node = heap_[i];
        for (std::size_t child = 2 * i + 1; child < heap_.size(); child = 2 * i + 1) {
            if (child + 1 < heap_.size() && heap_[child + 1].weaker(heap_[child])) ++child;
            if (!heap_[child].weaker(node)) break;
            heap_[i] = heap_[child];
            i = child;
        }
        heap_[i] = node;
    }

    std::vector<Node> heap_;
};

}  // namespace vecrecall::feed
