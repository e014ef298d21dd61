#pragma once

#include <fourfold/base/futex.hpp>

#include <atomic>
#include <cstdint>

namespace fourfold {

/// Four bytes that guard a few instructions inside a primitive: the lock below the locks. It is not one of
/// the library's waiting primitives: no time limit, no cancellation, never held while anything can block or
/// call out. Users want `mutex`.
///
/// The state machine is Drepper's ("Futexes are tricky", mutex 2): 0 free, 1 held, 2 held and somebody
/// sleeps.
class small_lock {
 public:
  small_lock() noexcept = default;
  small_lock(const small_lock&) = delete;
  small_lock& operator=(const small_lock&) = delete;

  void lock() noexcept {
    std::uint32_t expected = 0;
    // Acquire: pairs with the release in unlock().
    if (!state_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slowly();
  }

  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t expected = 0;
    return state_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }

  /// Nothing of this object is read after the exchange, so the next holder may destroy it.
  void unlock() noexcept {
    // Release: pairs with the acquire in lock().
    if (state_.exchange(0, std::memory_order_release) == 2)
      detail::futex_wake_one(state_);
  }

 private:
  void lock_slowly() noexcept;

  std::atomic<std::uint32_t> state_{0};
};

} // namespace fourfold
