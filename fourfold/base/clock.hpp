#pragma once

#include <chrono>

namespace fourfold {

/// The clock of every time limit, timer and measurement: monotonic, unaffected by changes of the wall clock.
using clock = std::chrono::steady_clock;

/// The time point that never comes: "no time limit".
inline constexpr clock::time_point never = clock::time_point::max();

/// Now plus `duration`, saturating at `never` (so that hours::max() means for ever, not a moment in the
/// past). A negative duration is a time limit already over, and so is one that is not a number.
template <class Rep, class Period>
[[nodiscard]] clock::time_point deadline_after(std::chrono::duration<Rep, Period> duration) {
  using seconds = std::chrono::duration<double>;
  const auto now = clock::now();
  if (seconds(duration) >= seconds(never - now))
    return never;
  // Not "<=": what is not a number compares with nothing, and must not be converted.
  if (!(duration > duration.zero()))
    return now;
  return now + std::chrono::ceil<clock::duration>(duration);
}

} // namespace fourfold
