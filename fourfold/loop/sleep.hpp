#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/loop/loop.hpp>

#include <chrono>

namespace fourfold {
namespace detail {

class [[nodiscard]] sleep_awaitable final : public coroutine_waiter {
 public:
  explicit sleep_awaitable(clock::time_point deadline) noexcept : deadline_(deadline) {}
  /// Only before it is awaited.
  sleep_awaitable(sleep_awaitable&& other) noexcept : deadline_(other.deadline_) {}

  bool await_ready() { return enter(); }
  void await_suspend(std::coroutine_handle<> awaiting) {
    loop& l = loop::current();
    l.timers().arm(*this, deadline_);
    suspend(awaiting);
  }
  void await_resume() { leave(); }

  void cancel() noexcept override {
    if (static_cast<loop&>(context().owner()).timers().withdraw(*this))
      end_cancelled();
  }

 private:
  clock::time_point deadline_;
};

class [[nodiscard]] yield_awaitable {
 public:
  bool await_ready() {
    context_ = &coroutine_context::current_or_throw();
    return context_->cancellation_due();
  }
  void await_suspend(std::coroutine_handle<> awaiting) const {
    context_->suspended(awaiting, nullptr);
    static_cast<loop&>(context_->owner()).enqueue(*context_);
  }
  void await_resume() const {
    if (context_->cancellation_due())
      throw_cancelled();
  }

 private:
  coroutine_context* context_ = nullptr;
};

} // namespace detail

/// Lets everything else that is ready run first. Cancellation-aware: yes. Threads: the loop's.
inline detail::yield_awaitable yield() noexcept { return {}; }

/// Suspends until `deadline`; those with the same deadline go on in the order in which they began to sleep. A
/// deadline that has passed suspends until the loop's next turn. Never early; late by what the loop is busy
/// with. Cancellation-aware: yes. Threads: the loop's.
inline detail::sleep_awaitable sleep_until(clock::time_point deadline) noexcept {
  return detail::sleep_awaitable(deadline);
}

/// The same, for a duration from now.
template <class Rep, class Period>
detail::sleep_awaitable sleep(std::chrono::duration<Rep, Period> duration) {
  return detail::sleep_awaitable(deadline_after(duration));
}

} // namespace fourfold
