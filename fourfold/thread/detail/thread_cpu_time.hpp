#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/small_lock.hpp>

#include <ctime>

namespace fourfold::detail {

/// The CPU time of the threads that follow one another in one place. The kernel keeps it, so that counting
/// costs nothing per call.
class thread_cpu_time {
 public:
  /// On the thread, at its beginning and its end.
  void begin() noexcept;
  void end() noexcept;
  /// Any thread.
  [[nodiscard]] clock::duration used() const noexcept;

 private:
  mutable small_lock lock_;
  // Guarded by lock_. While `running_`, the thread lives and its clock can be read.
  bool running_ = false;
  clockid_t clock_{};
  clock::duration before_{};
};

} // namespace fourfold::detail
