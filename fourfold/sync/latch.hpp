#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/sync/event.hpp>

#include <atomic>
#include <cstddef>
#include <stdexcept>

namespace fourfold {

/// Counts down to zero, once, and then lets through everybody who waits; threads and coroutines alike.
///
///   latch started(3);
///   started.count_down();            // each of three, whoever they are
///   started.wait(1s);                // co_await started.async_wait();
///
/// Whoever counts down does not wait; who waits need not count. For rounds of the same parties, use `barrier`.
///
/// Cancellation-aware: yes, both forms; what was counted stays counted. Resumes: a coroutine on its own loop.
/// Threads: any. Destruction while somebody waits is misuse and aborts; a waiter that was let through may
/// destroy it as with an `event`. 8 bytes more than an `event`.
class latch {
 public:
  /// `count` >= 0, std::invalid_argument otherwise; at 0 it is open from the beginning.
  explicit latch(std::ptrdiff_t count) : count_(count), open_(count == 0) {
    if (count < 0)
      throw std::invalid_argument("latch: the count must not be negative");
  }
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Takes `n` >= 0 off the count. Throws `released_too_often`, changing nothing, if that is more than is left.
  void count_down(std::ptrdiff_t n = 1) {
    std::ptrdiff_t left = count_.load(std::memory_order_relaxed);
    do {
      if (n < 0 || n > left)
        throw released_too_often("latch: counted down by more than was left");
      // Release: what each did before is seen by who is let through. Acquire: by the last one, who hands all of
      // it on.
    } while (
        !count_.compare_exchange_weak(left, left - n, std::memory_order_acq_rel, std::memory_order_relaxed));
    // Only the event lets anybody through, so the latch is there until set() lets go of it.
    if (n != 0 && n == left)
      open_.set();
  }

  /// Whether the count has come to zero.
  [[nodiscard]] bool try_wait() const noexcept { return open_.is_set(); }
  /// Waits until it has. Throws `timed_out` or `cancelled`.
  void wait(const wait_limit& limit = {}) { open_.wait(limit); }
  [[nodiscard]] auto async_wait() noexcept { return open_.async_wait(); }

 private:
  std::atomic<std::ptrdiff_t> count_;
  event open_;
};

} // namespace fourfold
