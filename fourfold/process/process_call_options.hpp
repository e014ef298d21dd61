#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/priority.hpp>
#include <fourfold/base/wait_limit.hpp>

namespace fourfold {

/// A duration that never ends.
inline constexpr clock::duration no_time_limit = clock::duration::max();

/// How a process pool treats one call:
///
///   pool.submit({.priority = priority::high, .retries = 2, .time_limit = 10s}, parse, text);
///
/// Time limits count from the moment when a worker begins with the call (or should have: it has nothing else
/// to do), for each attempt anew.
struct process_call_options {
  /// Among the calls that wait for a worker. What has been handed to a worker ahead (about 200 µs of work) is
  /// not overtaken.
  fourfold::priority priority = fourfold::priority::normal;
  /// The call may be run more than once: it is run again if its worker dies while it runs, so many times at
  /// most; then it fails with `worker_died`. A call that was cancelled, or killed at a limit, is not run again.
  unsigned retries = 0;
  /// After this time the call is told to stop, as by future.cancel(): a coroutine is cancelled, a function sees
  /// it by current_cancellation(). If it then ends with `cancelled`, its future has `timed_out`.
  clock::duration soft_time_limit = no_time_limit;
  /// After this time the call's worker is killed, and another takes its place; the future has `timed_out`. The
  /// coroutines that shared the worker fail with `worker_died`, or are run again if they have `retries`.
  clock::duration time_limit = no_time_limit;
  /// A call that was told to stop, by future.cancel() or by its soft time limit, and still runs after this time
  /// is ended by killing its worker; the future has `cancelled` or `timed_out`.
  clock::duration kill_after = no_time_limit;
  /// How long submit() may wait for room in a bounded queue; then it throws `timed_out` or `cancelled`. Not
  /// among a pool's defaults (std::invalid_argument), and not for try_submit and async_submit.
  wait_limit room = {};
};

} // namespace fourfold
