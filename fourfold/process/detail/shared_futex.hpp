#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace fourfold::detail {

/// Sleeps while a word in memory that processes share holds `expected`. May return spuriously.
inline void shared_futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
  const int saved_errno = errno;
  ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, nullptr, nullptr, 0);
  errno = saved_errno;
}

/// Wakes one that sleeps there, in whatever process.
inline void shared_futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept {
  const int saved_errno = errno;
  ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  errno = saved_errno;
}

} // namespace fourfold::detail
