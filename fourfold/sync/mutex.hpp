#pragma once

#include <fourfold/sync/semaphore.hpp>

#include <chrono>
#include <mutex>

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
class mutex {
 public:
  mutex() = default;

  void lock() { permit_.acquire(); }
  /// Throws `timed_out` or `cancelled`, not holding the mutex.
  void lock(const wait_limit& limit) { permit_.acquire(limit); }
  [[nodiscard]] bool try_lock() noexcept { return permit_.try_acquire(); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
    return try_lock_until(deadline_after(duration));
  }
  [[nodiscard]] bool try_lock_until(clock::time_point deadline);
  void unlock() { permit_.release(); }

  [[nodiscard]] auto async_lock() noexcept { return permit_.async_acquire(); }
  /// Awaits the lock and returns a `std::unique_lock<mutex>` that holds it.
  [[nodiscard]] auto async_scoped_lock() noexcept {
    return awaitable_operation(scoped_lock_operation{*this});
  }

 private:
  struct scoped_lock_operation {
    mutex& self;
    bool try_now() noexcept { return self.try_lock(); }
    bool park(waiter& w) noexcept { return self.permit_.park(w); }
    parking_place& place() noexcept { return self.permit_.waiting_; }
    std::unique_lock<mutex> result(wake_reason) noexcept { return {self, std::adopt_lock}; }
  };

  semaphore permit_{1, 1};
};

} // namespace fourfold
