#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/thread_annotations.hpp>
#include <fourfold/sync/mutex.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <source_location>

namespace fourfold {

/// A mutex that its owner may lock again, and that only its owner unlocks; as many unlocks as locks. The owner
/// is a chain of coroutines that await one another, or a thread where no coroutine runs. So a coroutine may hold
/// it across an await, others of the same loop are kept out meanwhile, and what the coroutine awaits directly
/// may lock it again; what it spawns may not, for that is a chain of its own.
///
///   const std::scoped_lock guard(m);                      // a thread; *TimedLockable*
///   auto guard = co_await m.async_scoped_lock();          // a coroutine; a std::unique_lock<recursive_mutex>
///
/// First come, first served, as `mutex`.
///
/// Cancellation-aware: yes, both forms; also a lock that need not wait throws if the token is cancelled.
/// Resumes: a coroutine on its own loop. Threads: any. Destruction while somebody waits is misuse and aborts.
/// Bad at: being held by an owner that ends, because nobody can unlock it then. 16 bytes more than a `mutex`. Uncontended, it costs
/// about what `mutex` does, and locking it again one comparison.
class FOURFOLD_CAPABILITY("recursive_mutex") recursive_mutex {
 public:
  /// `where` as in `mutex`.
  recursive_mutex(std::source_location where = std::source_location::current()) : mutex_(where) {}

  void lock() FOURFOLD_ACQUIRE() FOURFOLD_NO_THREAD_SAFETY_ANALYSIS {
    const void* caller = coroutine_context::current_owner();
    if (owner_.load(std::memory_order_relaxed) != caller) { // as in held_by_caller()
      mutex_.lock();
      owner_.store(caller, std::memory_order_relaxed);
    }
    ++depth_;
  }
  /// Throws `timed_out` or `cancelled`, not having locked it.
  void lock(const wait_limit& limit) FOURFOLD_ACQUIRE();
  [[nodiscard]] bool try_lock() noexcept FOURFOLD_TRY_ACQUIRE(true) FOURFOLD_NO_THREAD_SAFETY_ANALYSIS {
    const void* caller = coroutine_context::current_owner();
    if (owner_.load(std::memory_order_relaxed) != caller) {
      if (!mutex_.try_lock())
        return false;
      owner_.store(caller, std::memory_order_relaxed);
    }
    ++depth_;
    return true;
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) FOURFOLD_TRY_ACQUIRE(true) {
    return try_lock_until(deadline_after(duration));
  }
  [[nodiscard]] bool try_lock_until(clock::time_point deadline) FOURFOLD_TRY_ACQUIRE(true);
  /// Throws `not_the_owner`, changing nothing, unless the caller holds it.
  void unlock() FOURFOLD_RELEASE();

  [[nodiscard]] auto async_lock() noexcept { return awaitable_operation(lock_operation{*this}); }
  /// Awaits the lock and returns a `std::unique_lock<recursive_mutex>` that holds it.
  [[nodiscard]] auto async_scoped_lock() noexcept {
    return awaitable_operation(scoped_lock_operation{{*this}});
  }

  [[nodiscard]] bool held_by_caller() const noexcept {
    // Relaxed: only the caller itself can have written its own name there.
    return owner_.load(std::memory_order_relaxed) == coroutine_context::current_owner();
  }

 private:
  struct lock_operation {
    recursive_mutex& self;
    mutex::lock_operation first{self.mutex_};
    bool try_now() noexcept { return self.held_by_caller() || first.try_now(); }
    bool park(waiter& w) noexcept { return first.park(w); }
    parking_place& place() noexcept { return first.place(); }
    void result(wake_reason reason) noexcept {
      if (!self.held_by_caller())
        first.result(reason);
      self.enter();
    }
  };
  struct scoped_lock_operation : lock_operation {
    std::unique_lock<recursive_mutex> result(wake_reason reason) noexcept {
      lock_operation::result(reason);
      return {this->self, std::adopt_lock};
    }
  };

  /// The caller holds the mutex, from before or since now.
  void enter() noexcept {
    if (!held_by_caller())
      owner_.store(coroutine_context::current_owner(), std::memory_order_relaxed);
    ++depth_;
  }

  mutex mutex_;
  // Null while nobody holds it. Others may read it at any time, and see somebody else's name or none.
  std::atomic<const void*> owner_{nullptr};
  std::size_t depth_ = 0; // the owner's
};

} // namespace fourfold
