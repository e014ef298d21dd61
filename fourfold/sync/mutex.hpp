#pragma once

#include <fourfold/base/thread_annotations.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <chrono>
#include <mutex>
#include <source_location>

namespace fourfold {

/// A mutex that threads and coroutines wait on alike. It is a standard *TimedLockable*, so
/// `std::scoped_lock`, `std::unique_lock` and `std::condition_variable_any` work with it.
///
///   std::scoped_lock guard(m);                            // a thread
///   auto guard = co_await m.async_scoped_lock();          // a coroutine; guard is a std::unique_lock<mutex>
///
/// A semaphore with one permit: first come, first served, the unlocker hands the mutex to the oldest waiter.
/// A coroutine may hold it across an await; it is held by the coroutine then, not by the thread.
///
/// Cancellation-aware: yes, both forms. Resumes: a coroutine on its own loop. Threads: any; unlocked by who
/// holds it. Destruction while somebody waits is misuse and aborts. Unlocking one that is not locked throws
/// `released_too_often`.
class FOURFOLD_CAPABILITY("mutex") mutex {
 public:
  /// `where` tells mutexes apart in the reports of `deadlock_detection`; nothing is kept of it otherwise.
  mutex(std::source_location where = std::source_location::current()) {
    tell_wait_observer(&wait_observer::created, resource(), where);
  }

  void lock() FOURFOLD_ACQUIRE() {
    if (!permit_.try_acquire())
      permit_.acquire();
    tell_acquired(lock_request::waited);
  }
  /// Throws `timed_out` or `cancelled`, not holding the mutex.
  void lock(const wait_limit& limit) FOURFOLD_ACQUIRE() {
    permit_.acquire(limit);
    tell_acquired(limit.deadline == never ? lock_request::waited : lock_request::limited);
  }
  [[nodiscard]] bool try_lock() noexcept FOURFOLD_TRY_ACQUIRE(true) {
    const bool got_it = permit_.try_acquire();
    if (waits_are_observed()) [[unlikely]]
      tell_of_try(got_it);
    return got_it;
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) FOURFOLD_TRY_ACQUIRE(true) {
    return try_lock_until(deadline_after(duration));
  }
  [[nodiscard]] bool try_lock_until(clock::time_point deadline) FOURFOLD_TRY_ACQUIRE(true);
  void unlock() FOURFOLD_RELEASE() {
    tell_wait_observer(&wait_observer::releases, resource());
    if (!permit_.try_release_only())
      permit_.release();
  }

  [[nodiscard]] auto async_lock() noexcept { return awaitable_operation(lock_operation{*this}); }
  /// Awaits the lock and returns a `std::unique_lock<mutex>` that holds it.
  [[nodiscard]] auto async_scoped_lock() noexcept {
    return awaitable_operation(scoped_lock_operation{{*this}});
  }

 private:
  friend class condition;
  friend class recursive_mutex;

  struct lock_operation {
    mutex& self;
    bool try_now() noexcept { return self.permit_.try_acquire(); }
    bool park(waiter& w) noexcept { return self.park(w); }
    parking_place& place() noexcept { return self.permit_.waiting_; }
    void result(wake_reason) noexcept { self.tell_acquired(lock_request::waited); }
  };
  struct scoped_lock_operation : lock_operation {
    std::unique_lock<mutex> result(wake_reason reason) noexcept {
      lock_operation::result(reason);
      return {self, std::adopt_lock};
    }
  };

  [[nodiscard]] resource_id resource() const noexcept { return permit_.waiting_.resource(); }
  void tell_acquired(lock_request how) const noexcept {
    tell_wait_observer(&wait_observer::acquired, resource(), how);
  }
  void tell_of_try(bool got_it) const noexcept;

  bool park(waiter& w) noexcept { return permit_.park(w); }

  semaphore permit_{1, 1};
};

} // namespace fourfold
