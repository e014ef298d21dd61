#pragma once

#include <fourfold/base/clock.hpp>

#include <atomic>
#include <cstdint>

namespace fourfold::detail {

/// Sleeps while `word` holds `expected`, until woken or `deadline` (CLOCK_MONOTONIC). May return spuriously:
/// the caller looks at the word again. False only when the deadline has passed. The word must not be shared
/// between processes.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                clock::time_point deadline = never) noexcept;

/// Wakes one sleeper. The word may be gone already: the address is only a key, and a stranger woken by a
/// reused address sees a spurious return, which every caller of futex_wait allows for.
void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept;
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

/// One step of a spin-wait.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ __volatile__("yield" ::: "memory");
#endif
}

/// Looks up to `times` times, with a pause after each, before a sleep is worth it: true as soon as `look()` is.
template <class Look>
bool spin(int times, Look&& look) noexcept(noexcept(look())) {
  for (int i = 0; i < times; ++i) {
    if (look())
      return true;
    pause();
  }
  return false;
}

} // namespace fourfold::detail
