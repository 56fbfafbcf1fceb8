// Where tests may fork.
#pragma once

namespace test {

// ThreadSanitizer's runtime does not follow threads into a child.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kNoFork = true;
#else
inline constexpr bool kNoFork = false;
#endif

}  // namespace test
