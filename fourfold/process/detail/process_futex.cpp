#include <fourfold/process/detail/process_futex.hpp>

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
  return ::syscall(SYS_futex, &word, operation, value, timeout, nullptr, FUTEX_BITSET_MATCH_ANY);
}

} // namespace

bool wait_across_processes(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                           clock::time_point deadline) noexcept {
  const int saved_errno = errno;
  timespec time{};
  if (deadline != never) {
    // Absolute and CLOCK_MONOTONIC, which is what steady_clock counts on Linux; the kernel refuses negative times.
    const auto since_boot = std::max<std::int64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count(), 0);
    time.tv_sec = static_cast<time_t>(since_boot / 1'000'000'000);
    time.tv_nsec = static_cast<long>(since_boot % 1'000'000'000);
  }
  const bool passed = futex(word, FUTEX_WAIT_BITSET, expected, deadline == never ? nullptr : &time) != 0 &&
                      errno == ETIMEDOUT;
  errno = saved_errno;
  return !passed;
}

void wake_one_process(const std::atomic<std::uint32_t>& word) noexcept {
  const int saved_errno = errno;
  futex(word, FUTEX_WAKE, 1, nullptr);
  errno = saved_errno;
}

void wake_all_processes(const std::atomic<std::uint32_t>& word) noexcept {
  const int saved_errno = errno;
  futex(word, FUTEX_WAKE, INT_MAX, nullptr);
  errno = saved_errno;
}

} // namespace fourfold::detail
