#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/task.hpp>

#include <chrono>
#include <utility>

namespace fourfold {
namespace detail {

/// A cancel scope around the running chain that cancels itself at a time.
class deadline_scope final : private waiter {
 public:
  explicit deadline_scope(clock::time_point deadline)
      : context_(root_context::current_or_throw()), scope_(&context_.scope()) {
    if (deadline != never)
      loop::current().timers().arm(*this, deadline);
    scope_.enter(context_);
  }
  ~deadline_scope() { leave(); }
  deadline_scope(const deadline_scope&) = delete;
  deadline_scope& operator=(const deadline_scope&) = delete;

  /// Leaves the scope; true when the deadline, and nothing around it, cancelled what was inside.
  bool leave() noexcept {
    if (!inside_)
      return false;
    inside_ = false;
    static_cast<loop&>(context_.owner()).timers().withdraw(*this);
    scope_.leave(context_);
    return scope_.cancel_requested() && !context_.cancellation_due();
  }

 private:
  void wake() noexcept override { scope_.cancel(); }

  root_context& context_;
  cancel_scope scope_;
  bool inside_ = true;
};

} // namespace detail

/// Runs `work`, and cancels it at `deadline`: down to the system call, and waiting until it has ended. Throws
/// `timed_out` then. A result that was there first is never lost. Nested limits: the one that passes is the
/// one that throws.
///
///   auto page = co_await timeout(5s, fetch(url));
///
/// Cancellation-aware: yes. Threads: the loop's.
template <class T>
task<T> timeout_at(clock::time_point deadline, task<T> work) {
  detail::deadline_scope scope(deadline);
  try {
    co_return co_await std::move(work);
  } catch (const cancelled&) {
    if (!scope.leave())
      throw;
  }
  throw timed_out();
}

/// The same, for a duration from now. With zero or less, `work` does what needs no waiting, and is cancelled
/// when it waits.
template <class Rep, class Period, class T>
task<T> timeout(std::chrono::duration<Rep, Period> duration, task<T> work) {
  return timeout_at(deadline_after(duration), std::move(work));
}

/// Runs `work` out of reach of any cancellation from outside: for clean-up that has to await. Cancellation
/// requested meanwhile is delivered after it.
template <class T>
task<T> shield(task<T> work) {
  auto& context = detail::root_context::current_or_throw();
  struct shielded_scope {
    explicit shielded_scope(detail::root_context& c) : context(c) { scope.enter(context); }
    ~shielded_scope() { scope.leave(context); }
    detail::root_context& context;
    cancel_scope scope{&context.scope(), cancel_scope::kind::shielded};
  } scope(context);
  co_return co_await std::move(work);
}

} // namespace fourfold
