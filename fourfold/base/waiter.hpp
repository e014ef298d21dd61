#pragma once

#include <fourfold/base/futex.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/wait_limit.hpp>
#include <fourfold/base/wait_observer.hpp>

#include <atomic>
#include <cstdint>
#include <exception>

namespace fourfold {

class waiter;

/// Why a waiter was woken.
enum class wake_reason : std::uint8_t {
  granted,   ///< it has what it waited for
  closed,    ///< what it waited on was closed: it will never have it
  cancelled, ///< the wait was cancelled; it does not have it
  refused,   ///< the observer of waits has ended it; it does not have it
};

/// What a waiter is parked in: a lock's list, a queue, a future.
class parking_place {
 public:
  /// Takes `w` back out. True: it was still parked, nobody will wake it, the caller decides its fate. False:
  /// somebody has taken it out already and its wake-up is on the way, so whatever it was given must be
  /// honoured. This one answer decides every race between a grant, a time limit and a cancellation. Any
  /// thread.
  virtual bool withdraw(waiter& w) noexcept = 0;

 protected:
  parking_place() = default;
  ~parking_place() = default;
};

/// The one thing that everything which can block parks: a thread (`thread_waiter`) or a coroutine
/// (`coroutine_waiter`). A primitive links it, takes it out under its own lock, sets `reason`, and calls
/// `wake()`.
class waiter : public list_links {
 public:
  /// After this call the waiter may be gone. Any thread; never under the primitive's lock.
  virtual void wake() noexcept = 0;

  /// What the primitive hands over with the grant (a queue: the slot for the item). The primitive's own
  /// business.
  void* argument = nullptr;
  /// Set, before wake(), by whoever took the waiter out.
  wake_reason reason = wake_reason::granted;

  /// Its wake-up is on the way; said by whoever takes it out of a place, under the lock of the place.
  void set_decided() noexcept { decided_.store(true, std::memory_order_release); }
  [[nodiscard]] bool is_decided() const noexcept { return decided_.load(std::memory_order_acquire); }
  /// parking_place::withdraw(), without a look at a place that may be gone because this waiter was let through, and
  /// others with it.
  [[nodiscard]] bool withdraw_from(parking_place& place) noexcept {
    return !is_decided() && place.withdraw(*this);
  }

 protected:
  waiter() noexcept = default;
  ~waiter() = default;

 private:
  std::atomic<bool> decided_{false};
};

/// Told by a thread that it is about to block in one of our waits, and that it goes on: a pool keeps its
/// level of parallelism with it. Both are called on the thread concerned.
class blocking_observer {
 public:
  virtual void about_to_block() noexcept = 0;
  virtual void unblocked() noexcept = 0;

 protected:
  ~blocking_observer() = default;
};

/// The observer of this thread, or null.
[[nodiscard]] blocking_observer* this_thread_blocking_observer() noexcept;
void set_this_thread_blocking_observer(blocking_observer* observer) noexcept;

/// Tells this thread's observer, if any, that the scope may block.
class blocking_scope {
 public:
  blocking_scope() noexcept : observer_(this_thread_blocking_observer()) {
    if (observer_ != nullptr)
      observer_->about_to_block();
  }
  ~blocking_scope() {
    if (observer_ != nullptr)
      observer_->unblocked();
  }
  blocking_scope(const blocking_scope&) = delete;
  blocking_scope& operator=(const blocking_scope&) = delete;

 private:
  blocking_observer* observer_;
};

/// A thread, parked on a futex, after it has looked for a moment whether it is woken at once.
class thread_waiter final : public waiter {
 public:
  void wake() noexcept override {
    // Release: pairs with the acquire in parked_until(); the sleeper sees what its waker did. It may be gone after
    // this, and its address is only a key.
    if (state_.exchange(woken, std::memory_order_release) == asleep)
      detail::futex_wake_one(state_);
  }

  /// Sleeps until woken from `place`, where the waiter is parked now. Throws `timed_out`, `cancelled` or `deadlock`,
  /// withdrawn from the place; returns otherwise, with `reason` set.
  void wait(parking_place& place, const wait_limit& limit);

 private:
  /// False when the deadline came first.
  bool parked_until(clock::time_point deadline) noexcept;

  static constexpr std::uint32_t awake = 0;
  static constexpr std::uint32_t asleep = 1; // or about to be: the waker has to make the system call
  static constexpr std::uint32_t woken = 2;
  std::atomic<std::uint32_t> state_{awake};
};

[[noreturn]] void throw_cancelled();
/// Throws what a wait that ended `cancelled` or `refused` throws.
[[noreturn]] void throw_ended(wake_reason reason, const std::exception_ptr& refusal);

/// Waits on this thread for an operation; the counterpart of `co_await awaitable_operation(op)`. See there
/// for what an operation is.
template <class Operation>
decltype(auto) wait_blocking(Operation&& operation, const wait_limit& limit) {
  wake_reason reason = wake_reason::granted;
  if (limit.token.cancellation_requested())
    throw_cancelled();
  if (!operation.try_now()) {
    thread_waiter w;
    if (operation.park(w)) {
      w.wait(operation.place(), limit);
      reason = w.reason;
    }
  }
  return operation.result(reason);
}

} // namespace fourfold
