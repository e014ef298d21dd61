#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/task.hpp>

#include <chrono>
#include <concepts>
#include <utility>

namespace fourfold {

/// A time limit around the running chain, which may be moved while the work goes on; made by `with_timeout`.
/// Threads: the loop's.
class timeout_scope final : private waiter {
 public:
  explicit timeout_scope(clock::time_point deadline);
  ~timeout_scope() { leave(); }
  timeout_scope(const timeout_scope&) = delete;
  timeout_scope& operator=(const timeout_scope&) = delete;

  /// When the work is cancelled; `never` if it is not.
  [[nodiscard]] clock::time_point deadline() const noexcept { return deadline_; }
  /// Whether that has happened.
  [[nodiscard]] bool expired() const noexcept { return scope_.cancel_requested(); }
  /// Moves the limit, `never` takes it away. Throws `error` once it has expired, `wrong_thread` on another
  /// thread than its loop's.
  void reschedule(clock::time_point deadline);
  template <class Rep, class Period>
  void reschedule(std::chrono::duration<Rep, Period> from_now) {
    reschedule(deadline_after(from_now));
  }

  /// For those who write such functions: leaves the scope; true when the deadline, and nothing around it,
  /// cancelled what was inside.
  bool leave() noexcept;

 private:
  void wake() noexcept override { scope_.cancel(); }

  detail::root_context& context_;
  cancel_scope scope_;
  clock::time_point deadline_ = never;
  bool inside_ = true;
};

namespace detail {

template <class T>
task<T> cancelled_at(clock::time_point deadline, task<T> work) {
  timeout_scope scope(deadline);
  try {
    co_return co_await std::move(work);
  } catch (const cancelled&) {
    if (!scope.leave())
      throw;
  }
  throw timed_out();
}

template <class Body>
task<body_call_result_t<Body, timeout_scope&>> with_deadline(clock::time_point deadline, Body body) {
  timeout_scope scope(deadline);
  try {
    co_return co_await body(scope);
  } catch (const cancelled&) {
    if (!scope.leave())
      throw;
  }
  throw timed_out();
}

template <class T>
task<T> shielded(task<T> work) {
  auto& context = root_context::current_or_throw();
  struct shielded_scope {
    explicit shielded_scope(root_context& c) : context(c) { scope.enter(context); }
    ~shielded_scope() { scope.leave(context); }
    root_context& context;
    cancel_scope scope{&context.scope(), cancel_scope::kind::shielded};
  } scope(context);
  co_return co_await std::move(work);
}

} // namespace detail

/// Awaits `work`, and cancels it at `deadline`: down to the system call, and waiting until it has ended. Throws
/// `timed_out` then. A result that was there first is never lost. Nested limits: the one that passes is the
/// one that throws.
///
///   auto page = co_await timeout(5s, fetch(url));
///   auto item = co_await timeout(1s, queue.async_get());
///
/// Takes a task, a future or anything else that can be awaited. Cancellation-aware: yes. Threads: the loop's.
template <awaitable A>
auto timeout_at(clock::time_point deadline, A&& work) {
  return detail::cancelled_at(deadline, as_task(std::forward<A>(work)));
}

/// The same, for a duration from now. With zero or less, `work` does what needs no waiting, and is cancelled
/// when it waits (a `yield` is no waiting).
template <class Rep, class Period, awaitable A>
auto timeout(std::chrono::duration<Rep, Period> duration, A&& work) {
  return timeout_at(deadline_after(duration), std::forward<A>(work));
}

/// Runs `body(scope)`, a coroutine, within a time limit that it may move.
///
///   auto body = [&](timeout_scope& limit) -> task<> {
///     while (auto message = co_await receive()) {
///       limit.reschedule(5s);                          // 5 s from each message, not from the first
///       handle(*message);
///     }
///   };
///   co_await with_timeout(5s, body);
///
/// Throws `timed_out` when the limit has passed; else returns or throws what the body does. Cancellation-aware:
/// yes. Threads: the loop's.
template <class Rep, class Period, class Body>
  requires std::invocable<Body&, timeout_scope&>
auto with_timeout(std::chrono::duration<Rep, Period> duration, Body body) {
  return detail::with_deadline(deadline_after(duration), std::move(body));
}
/// The same, with the time itself.
template <class Body>
  requires std::invocable<Body&, timeout_scope&>
auto with_timeout_at(clock::time_point deadline, Body body) {
  return detail::with_deadline(deadline, std::move(body));
}

/// Awaits `work` out of reach of any cancellation from outside: for clean-up that has to await. Cancellation
/// requested meanwhile is delivered after it.
template <awaitable A>
auto shield(A&& work) {
  return detail::shielded(as_task(std::forward<A>(work)));
}

} // namespace fourfold
