#pragma once

// Found before the real header: its functions, as steps of the explorer.

#include <model/modelled.hpp>

#include <fourfold/base/clock.hpp>

namespace fourfold::detail {

inline bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       clock::time_point deadline = never) noexcept {
  return interleavings::sleep_on(
      &word, [&word, expected] { return word.now() == expected; }, deadline != never);
}
inline void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept { interleavings::wake(&word, 1); }
inline void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  interleavings::wake(&word, std::numeric_limits<std::size_t>::max());
}

/// Once: to look again and again only adds orders in which it was in vain.
template <class Look>
bool spin(int, Look&& look) noexcept(noexcept(look())) {
  return look();
}

} // namespace fourfold::detail
