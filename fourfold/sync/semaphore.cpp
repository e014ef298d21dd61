#include <fourfold/base/errors.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <stdexcept>

namespace fourfold {

semaphore::semaphore(std::ptrdiff_t initial, std::ptrdiff_t maximum) : maximum_(maximum) {
  if (initial < 0 || maximum > unlimited || initial > maximum)
    throw std::invalid_argument("semaphore: needs 0 <= initial <= maximum");
  state_.store(static_cast<std::int64_t>(initial) * one_permit, std::memory_order_relaxed);
}

void semaphore::acquire(const wait_limit& limit) {
  // A permit is often back before a sleep could begin.
  constexpr int spins = 64;
  if (!limit.token.cancellation_requested() && detail::spin(spins, [this] { return try_acquire(); }))
    return;
  wait_blocking(acquire_operation{*this}, limit);
}

bool semaphore::park(waiter& w) noexcept {
  const std::lock_guard guard(waiting_.lock);
  std::int64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (state >= one_permit && waiting_.waiters.empty()) {
      if (state_.compare_exchange_weak(state, state - one_permit, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return false;
      }
    } else if (state_.compare_exchange_weak(state, state | somebody_waits, std::memory_order_relaxed)) {
      waiting_.waiters.push_back(w);
      return true;
    }
  }
}

void semaphore::release(std::ptrdiff_t permits) {
  if (permits < 1 || permits > maximum_)
    throw released_too_often("semaphore: release() of a number of permits that cannot be");
  std::int64_t state = state_.load(std::memory_order_relaxed);
  while ((state & somebody_waits) == 0) {
    if (state / one_permit + permits > maximum_)
      throw released_too_often("semaphore: released more often than acquired");
    // Release: pairs with the acquire in try_acquire(). Nothing of this object is touched afterwards.
    if (state_.compare_exchange_weak(state, state + permits * one_permit, std::memory_order_release,
                                     std::memory_order_relaxed)) {
      return;
    }
  }
  release_slowly(permits);
}

void semaphore::release_slowly(std::int64_t permits) {
  taken_waiters granted;
  {
    const std::lock_guard guard(waiting_.lock);
    // Waiters imply that no permit is free, and then permits <= maximum_ cannot overflow: what throws below
    // took nobody out.
    while (permits > 0 && !waiting_.waiters.empty()) {
      granted.take(waiting_.waiters.front());
      --permits;
    }
    // Another release may have cleared the flag since it was seen, and then others change the state without
    // the lock.
    std::int64_t state = state_.load(std::memory_order_relaxed);
    std::int64_t next = 0;
    do {
      const std::int64_t free = state / one_permit + permits;
      if (free > maximum_)
        throw released_too_often("semaphore: released more often than acquired");
      next = free * one_permit + (waiting_.waiters.empty() ? 0 : somebody_waits);
    } while (
        !state_.compare_exchange_weak(state, next, std::memory_order_release, std::memory_order_relaxed));
  }
  granted.wake_all();
}

} // namespace fourfold
