#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/clock.hpp>

#include <chrono>

namespace fourfold {

/// How long a blocking wait may last: until a time point, for a duration, until a token is cancelled, or
/// both. Every blocking operation takes one, and without it waits for ever:
///
///   q.get();      q.get(100ms);      q.get(token);      q.get({100ms, token});
///
/// A wait that reaches its time limit throws `timed_out`, one whose token is cancelled throws `cancelled`; in
/// both cases the operation had no effect. With a time limit that is already over, an operation that need not
/// wait still succeeds; with a token that is already cancelled it does not.
struct wait_limit {
  wait_limit() noexcept = default;
  template <class Rep, class Period>
  wait_limit(std::chrono::duration<Rep, Period> duration, cancellation_token cancellation = {})
      : deadline(deadline_after(duration)), token(cancellation) {}
  wait_limit(clock::time_point time, cancellation_token cancellation = {}) noexcept
      : deadline(time), token(cancellation) {}
  wait_limit(cancellation_token cancellation) noexcept : token(cancellation) {}

  clock::time_point deadline = never;
  cancellation_token token;
};

} // namespace fourfold
