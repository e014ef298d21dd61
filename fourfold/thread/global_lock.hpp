#pragma once

#include <fourfold/sync/wait_list.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace fourfold {

/// One lock around everything, as an interpreter has it: whoever holds it runs until it releases the lock, or
/// until another thread has waited for the switch interval (5 ms by default) and the holder comes by a
/// checkpoint().
///
///   global_lock lock;
///   global_lock_guard guard(lock);
///   for (auto& item : items) { work(item); lock.checkpoint(); }
///   { global_lock_release open(lock); read_from_disk(); }         // others run meanwhile
///
/// Hand-over is fair: release() and checkpoint() give the lock to the oldest waiter, at once; who gave it
/// away queues behind.
///
/// For threads only, by design: the lock belongs to a thread. A coroutine that suspended with it held would
/// leave it to every other task of its loop, and block the loop when it waits. Use `mutex` there.
///
/// (1) Cancellation-aware: acquire is; checkpoint and the return from global_lock_release are not, since
/// their caller relies on holding the lock afterwards. (2) The waiter resumes on its own thread. (3) Any
/// thread; release and checkpoint the holder only, which is checked. (4) Destruction while somebody waits is
/// misuse and aborts.
///
/// Waiting for it does not count as blocking for a thread_pool (its holder runs, or is blocked and counted
/// itself), so do not wait for a pool's call while holding it: release it around the wait.
///
/// Bad at: everything but its purpose, running code one thread at a time; and at hundreds of waiters, since
/// each looks at the clock once per interval. A checkpoint costs a load and a comparison when nobody asks.
///
/// The protocol is CPython's (Python/ceval_gil.c): time-out, drop request, forced switch.
class global_lock {
 public:
  /// `switch_interval` must be positive, or std::invalid_argument.
  explicit global_lock(clock::duration switch_interval = std::chrono::milliseconds(5));
  global_lock(const global_lock&) = delete;
  global_lock& operator=(const global_lock&) = delete;

  /// Takes the lock. Throws `timed_out` or `cancelled`, not holding it, and `error` if this thread holds it
  /// already.
  void acquire(const wait_limit& limit = {});
  [[nodiscard]] bool try_acquire() noexcept;
  /// To the oldest waiter, if any. Throws `error` if this thread does not hold it; nothing has changed then.
  void release();

  /// A point where the holder can be interrupted: if somebody has asked, they run and this thread queues
  /// behind all waiters. On return this thread holds the lock. Throws `error` if it did not before.
  void checkpoint() {
    // Relaxed: only a hint; the hand-over itself happens under the list's lock.
    if ((word_.load(std::memory_order_relaxed) & ~somebody_waits) != this_thread())
      hand_over();
  }

  [[nodiscard]] bool held_by_this_thread() const noexcept {
    return (word_.load(std::memory_order_relaxed) & ~flags) == this_thread();
  }

  /// From the next interval of each waiter on. Any thread. Positive, or std::invalid_argument.
  void set_switch_interval(clock::duration interval);
  [[nodiscard]] clock::duration switch_interval() const noexcept;
  /// How many times a checkpoint gave the lock away.
  [[nodiscard]] std::uint64_t hand_overs() const noexcept {
    return hand_overs_.load(std::memory_order_relaxed);
  }

 private:
  class lock_waiter;

  // word_ = who holds it (0: nobody) + flags. somebody_waits may outlive a waiter that gave up; the release
  // then takes the slow path once. asked: a waiter's interval is over, since the holder took the lock.
  static constexpr std::uintptr_t asked = 1;
  static constexpr std::uintptr_t somebody_waits = 2;
  static constexpr std::uintptr_t flags = asked | somebody_waits;

  // Its address names the thread.
  alignas(8) static constinit inline thread_local char thread_mark_ = 0;
  static std::uintptr_t this_thread() noexcept { return reinterpret_cast<std::uintptr_t>(&thread_mark_); }

  void acquire_slowly(const wait_limit& limit);
  void release_slowly();
  void hand_over();
  lock_waiter* give_to_oldest() noexcept; // null: nobody waits
  bool park(lock_waiter& w) noexcept;
  void wait(lock_waiter& w, const wait_limit& limit);
  void ask(lock_waiter& w) noexcept;

  std::atomic<std::uintptr_t> word_{0};
  // Changes of the holder through the list; guarded by waiting_.lock. A waiter whose interval saw one starts
  // a new interval.
  std::uint64_t switches_ = 0;
  wait_list waiting_;
  std::atomic<clock::rep> switch_interval_;
  std::atomic<std::uint64_t> hand_overs_{0};
};

/// Holds the lock for a scope.
class [[nodiscard]] global_lock_guard {
 public:
  /// Throws as acquire().
  explicit global_lock_guard(global_lock& lock, const wait_limit& limit = {}) : lock_(lock) {
    lock_.acquire(limit);
  }
  ~global_lock_guard() { lock_.release(); }
  global_lock_guard(const global_lock_guard&) = delete;
  global_lock_guard& operator=(const global_lock_guard&) = delete;

 private:
  global_lock& lock_;
};

/// Releases the lock for a scope of work that does not need it, and takes it back, waiting as long as that
/// takes.
class [[nodiscard]] global_lock_release {
 public:
  /// Throws `error` if this thread does not hold the lock.
  explicit global_lock_release(global_lock& lock) : lock_(lock) { lock_.release(); }
  ~global_lock_release() { lock_.acquire(); }
  global_lock_release(const global_lock_release&) = delete;
  global_lock_release& operator=(const global_lock_release&) = delete;

 private:
  global_lock& lock_;
};

} // namespace fourfold
