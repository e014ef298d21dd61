#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <concepts>
#include <mutex>

namespace fourfold {

/// Waits until something that a mutex guards has changed; threads and coroutines alike, any number of conditions
/// on one mutex.
///
///   std::unique_lock lock(m);                             auto lock = co_await m.async_scoped_lock();
///   not_empty.wait(lock, [&] { return !items.empty(); }); while (items.empty())
///                                                           co_await not_empty.async_wait(lock);
///   …                                                     …
///   items.push_back(i);  not_empty.notify_one();          // with the mutex held, or after unlocking it
///
/// A wait gives the mutex back and holds it again whenever it ends, also by an exception. Whoever changes what is
/// waited for with the mutex held, and notifies then or later, is noticed: a waiter is in the line before the
/// mutex is free. There are no spurious wake-ups; but another may have come between, so a wait without a
/// predicate belongs in a loop. Coroutines have only that form, because g++ 12 miscompiles the lambda with
/// captures that a predicate inside of a `co_await` expression would be.
///
/// First come, first served. Who is notified is not woken but goes over into the mutex's line, and is woken once
/// the mutex is its own: notify_all() wakes nobody in vain.
///
/// Cancellation-aware: yes, both forms, until it is notified; then the wait succeeds. It still waits for the
/// mutex, and that without a limit. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts; who was notified may destroy it at once, unless it can be notified once more
/// or another one's wait may be cut short in that moment by its limit or from another thread. 32 bytes.
class condition {
 public:
  condition() noexcept = default;
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  /// Waits to be notified. Throws `timed_out` or `cancelled`, and `not_the_owner` if `lock` does not hold its
  /// mutex.
  void wait(std::unique_lock<mutex>& lock, const wait_limit& limit = {});
  /// Waits until `predicate()`, which is called with the mutex held. Throws the same, and what it throws.
  template <std::predicate Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate predicate, const wait_limit& limit = {}) {
    while (!predicate())
      wait(lock, limit);
  }
  [[nodiscard]] auto async_wait(std::unique_lock<mutex>& lock) {
    return wait_awaitable(wait_operation(*this, lock));
  }

  /// Lets the oldest waiter, if any, or all of them, go on.
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  // One wait. It is its own parking place, because once its end is decided, the waiter may stand in the mutex's line.
  class wait_operation : public parking_place {
   public:
    wait_operation(condition& c, std::unique_lock<mutex>& lock);
    bool try_now() const noexcept { return false; }
    bool park(waiter& w);
    parking_place& place() noexcept { return *this; }
    /// The mutex was locked for the waiter.
    void result(wake_reason) noexcept {
      mutex_->tell_acquired(lock_request::waited);
      *lock_ = std::unique_lock(*mutex_, std::adopt_lock);
    }

    bool withdraw(waiter& w) noexcept override;
    /// After a wait that did not end by notification.
    void lock_again();
    /// Gives `w` the mutex, now or when its turn comes, and wakes it then.
    void wake_with_mutex(waiter& w) noexcept;

   private:
    friend class condition;
    condition* condition_;
    std::unique_lock<mutex>* lock_;
    mutex* mutex_;
  };

  // A coroutine must have the mutex before it is resumed, also to be told that it was cancelled.
  class [[nodiscard]] wait_awaitable final : public awaitable_operation<wait_operation> {
   public:
    using awaitable_operation::awaitable_operation;
    bool await_suspend(std::coroutine_handle<> awaiting) {
      suspended_ = true;
      return awaitable_operation::await_suspend(awaiting);
    }
    void await_resume() {
      if (suspended_)
        operation_.result(reason);
      leave_observed();
      if (cancelled_)
        throw_cancelled();
    }
    void cancel() noexcept override {
      if (!withdraw_from(operation_))
        return;
      cancelled_ = true;
      operation_.wake_with_mutex(*this);
    }

   private:
    bool suspended_ = false;
    bool cancelled_ = false;
  };

  static wait_operation& operation_of(waiter& w) noexcept {
    return *static_cast<wait_operation*>(w.argument);
  }

  wait_list waiting_;
};

} // namespace fourfold
