#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace fourfold {

/// A counting semaphore that threads and coroutines wait on alike.
///
///   semaphore slots(5);
///   slots.acquire();               // a thread: blocks; slots.acquire(100ms) throws timed_out
///   co_await slots.async_acquire();  // a coroutine
///   slots.release();               // anyone
///
/// Who waits is served first come, first served: a released permit goes to the oldest waiter and cannot be
/// taken by a newcomer. With a `maximum`, a release above it throws `released_too_often` and changes nothing.
///
/// Cancellation-aware: yes, both forms. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts. Uncontended acquire and release are one atomic operation each. Bad
/// at: handing a permit back and forth between two threads; each hand-over is a sleep and a wake-up.
class semaphore {
 public:
  static constexpr std::ptrdiff_t unlimited = std::numeric_limits<std::ptrdiff_t>::max() / 2;

  /// `initial` permits, 0 <= initial <= maximum; std::invalid_argument otherwise.
  explicit semaphore(std::ptrdiff_t initial, std::ptrdiff_t maximum = unlimited);
  /// One that has all its permits and never more: a release too many is an error.
  [[nodiscard]] static semaphore bounded(std::ptrdiff_t permits) { return semaphore(permits, permits); }
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  [[nodiscard]] bool try_acquire() noexcept {
    std::int64_t state = state_.load(std::memory_order_relaxed);
    while (state >= one_permit && (state & somebody_waits) == 0) {
      // Acquire: pairs with the release in release().
      if (state_.compare_exchange_weak(state, state - one_permit, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  /// Takes a permit, waiting for one. Throws `timed_out` or `cancelled`, having taken none.
  void acquire(const wait_limit& limit = {});
  [[nodiscard]] auto async_acquire() noexcept { return awaitable_operation(acquire_operation{*this}); }

  /// Gives back `permits` (at least 1).
  void release(std::ptrdiff_t permits = 1);

  /// The permits free now; only a hint while others use the semaphore.
  [[nodiscard]] std::ptrdiff_t available() const noexcept {
    return state_.load(std::memory_order_relaxed) / one_permit;
  }

 private:
  friend class mutex;
  friend class recursive_mutex;

  struct acquire_operation {
    semaphore& self;
    bool try_now() noexcept { return self.try_acquire(); }
    bool park(waiter& w) noexcept { return self.park(w); }
    parking_place& place() noexcept { return self.waiting_; }
    void result(wake_reason) noexcept {}
  };
  bool park(waiter& w) noexcept;
  /// For a mutex: gives back the only permit if nobody waits for it, or does nothing.
  bool try_release_only() noexcept {
    std::int64_t none = 0;
    // Release: pairs with the acquire in try_acquire(). Nothing of this object is touched afterwards.
    return state_.compare_exchange_strong(none, one_permit, std::memory_order_release,
                                          std::memory_order_relaxed);
  }
  void release_slowly(std::int64_t permits);

  // state_ = permits * one_permit + (somebody_waits ? 1 : 0). The flag may outlive a waiter that gave up; the
  // next release then takes the slow path once and clears it. While the list is not empty there are no
  // permits.
  static constexpr std::int64_t one_permit = 2;
  static constexpr std::int64_t somebody_waits = 1;

  std::atomic<std::int64_t> state_;
  std::int64_t maximum_;
  wait_list waiting_;
};

} // namespace fourfold
