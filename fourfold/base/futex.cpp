#include <fourfold/base/futex.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

namespace fourfold::detail {
namespace {

long futex(const std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* timeout) noexcept {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
  return ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, timeout, nullptr,
                   FUTEX_BITSET_MATCH_ANY);
}

} // namespace

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                clock::time_point deadline) noexcept {
  const int saved_errno = errno;
  long result = 0;
  int reason = 0;
  if (deadline == never) {
    result = futex(word, FUTEX_WAIT_BITSET, expected, nullptr);
  } else {
    // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what steady_clock counts on Linux.
    // The kernel refuses negative times; a deadline before the boot is over as much as one at the boot.
    const auto since_boot = std::max<std::int64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count(), 0);
    timespec time{};
    time.tv_sec = static_cast<time_t>(since_boot / 1'000'000'000);
    time.tv_nsec = static_cast<long>(since_boot % 1'000'000'000);
    result = futex(word, FUTEX_WAIT_BITSET, expected, &time);
  }
  if (result != 0)
    reason = errno;
  errno = saved_errno;
  return reason != ETIMEDOUT;
}

void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept {
  const int saved_errno = errno;
  futex(word, FUTEX_WAKE, 1, nullptr);
  errno = saved_errno;
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  const int saved_errno = errno;
  futex(word, FUTEX_WAKE, INT_MAX, nullptr);
  errno = saved_errno;
}

} // namespace fourfold::detail
