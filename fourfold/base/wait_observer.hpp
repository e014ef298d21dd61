#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <source_location>
#include <string_view>

namespace fourfold {

class parking_place;
class waiter;

/// A thread or a chain of coroutines, and what it can wait for (a lock, a result, a group of tasks): addresses that
/// are theirs while they live.
using party_id = const void*;
using resource_id = const void*;

/// How a lock was asked for. Only who waits for it without a limit can hang there.
enum class lock_request : std::uint8_t { waited, limited, tried };

/// At which end of a queue somebody is. Who joins it waits for those who get.
enum class queue_role : std::uint8_t { puts, gets, joins };

struct wait_terms {
  /// The wait ends by itself: a time limit.
  bool limited = false;
  /// Who is parked, and where: the observer may withdraw it and wake it with `wake_reason::refused`, until it is told
  /// that it goes on. Null: nothing can be thrown there.
  waiter* parked = nullptr;
  parking_place* place = nullptr;
};

/// Told of every wait of the library, and of who holds or makes what others wait for; `watch/` has the one that finds
/// deadlocks. Told at the moment, on the thread concerned, so that what it knows is never ahead of the truth: a
/// holder is told of after it has the lock, and before it gives it back.
class wait_observer {
 public:
  /// It is the observer from now on, and knows nothing of what was before.
  virtual void begins_to_observe() noexcept = 0;
  /// It soon is no more, and touches no waiter from now on: nobody tells it when they go.
  virtual void ends_to_observe() noexcept = 0;

  /// `who` is parked at `what`.
  virtual void waits(party_id who, resource_id what, wait_terms terms) noexcept = 0;
  /// `who` waits no longer, whatever the reason. Any thread. Not null: it was refused, and is to throw that.
  virtual std::exception_ptr goes_on(party_id who) noexcept = 0;

  /// The running thread's loop sleeps (or sleeps no longer) with no timer and no descriptor that it waits for, so
  /// that only another thread can wake it.
  virtual void loop_sleeps(bool begins) noexcept = 0;

  /// Of a lock, and the running party.
  virtual void created(resource_id lock, std::source_location where) noexcept = 0;
  virtual void acquired(resource_id lock, lock_request how) noexcept = 0;
  virtual void releases(resource_id lock) noexcept = 0;
  virtual void failed_to_acquire(resource_id lock) noexcept = 0;

  /// The running party is about to use a queue.
  virtual void uses(resource_id queue, queue_role role) noexcept = 0;

  /// `who` runs, on this thread, what others may wait for; and has ended it (null: whoever it was).
  virtual void works_at(resource_id result, party_id who) noexcept = 0;
  virtual void has_done(resource_id result, party_id who) noexcept = 0;
  /// Who works at `result` is about to be cancelled.
  virtual void cancels(resource_id result) noexcept = 0;
  /// A time limit begins (+1) or ends (-1) for everything that `who` waits for.
  virtual void limit_changes(party_id who, int by) noexcept = 0;

  /// The running party has tried something in vain, `limit` times in a row being too often; somebody has succeeded.
  virtual void tried_in_vain(resource_id what, std::string_view name, std::uint64_t limit) noexcept = 0;
  virtual void progressed(resource_id what) noexcept = 0;

  /// The party or resource ends; its address may be another's from now on.
  virtual void gone(const void* address) noexcept = 0;

 protected:
  ~wait_observer() = default;
};

namespace detail {

inline constinit std::atomic<wait_observer*> current_wait_observer{nullptr};
alignas(8) inline constinit thread_local char this_thread_mark = 0;

/// Keeps the observer from ending while it is told something.
class observer_call {
 public:
  observer_call() noexcept;
  ~observer_call();
  observer_call(const observer_call&) = delete;
  observer_call& operator=(const observer_call&) = delete;
  [[nodiscard]] wait_observer* observer() const noexcept { return observer_; }

 private:
  wait_observer* observer_;
};

} // namespace detail

/// The calling thread as a party.
[[nodiscard]] inline party_id this_thread_party() noexcept { return &detail::this_thread_mark; }

/// Makes `observer` (null: nobody) the one that is told, and returns the one before, which nobody calls any more. Any
/// thread, but not from inside of an observer.
wait_observer* set_wait_observer(wait_observer* observer) noexcept;

/// Whether there is an observer. A relaxed load: it hands nothing over, and is all that observation costs when it is
/// off.
[[nodiscard]] inline bool waits_are_observed() noexcept {
  return detail::current_wait_observer.load(std::memory_order_relaxed) != nullptr;
}

/// Tells the observer, if there is one: `tell_wait_observer(&wait_observer::releases, lock)`.
template <class... P, class... A>
void tell_wait_observer(void (wait_observer::*what)(P...) noexcept, A... arguments) noexcept {
  if (waits_are_observed()) [[unlikely]] {
    const detail::observer_call call;
    if (call.observer() != nullptr)
      (call.observer()->*what)(arguments...);
  }
}

/// Tells that `who` goes on. Not null: the observer has refused the wait, and that is to be thrown.
[[nodiscard]] std::exception_ptr tell_goes_on(party_id who) noexcept;

} // namespace fourfold
