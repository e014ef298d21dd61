#include <fourfold/base/errors.hpp>
#include <fourfold/base/waiter.hpp>

namespace fourfold {
namespace {

constinit thread_local blocking_observer* this_thread_observer = nullptr;

} // namespace

blocking_observer* this_thread_blocking_observer() noexcept { return this_thread_observer; }

void set_this_thread_blocking_observer(blocking_observer* observer) noexcept {
  this_thread_observer = observer;
}

void throw_cancelled() { throw cancelled(); }

bool thread_waiter::parked_until(clock::time_point deadline) noexcept {
  // A lock or an item that goes from hand to hand between running threads is there before a sleep could begin.
  constexpr int spins = 100;
  if (detail::spin(spins, [this] { return state_.load(std::memory_order_acquire) == woken; }))
    return true;
  std::uint32_t expected = awake; // or asleep, from an earlier call
  // Relaxed: nothing is published. Who wakes after this sees it and makes the system call.
  state_.compare_exchange_strong(expected, asleep, std::memory_order_relaxed);
  while (state_.load(std::memory_order_acquire) != woken) {
    if (!detail::futex_wait(state_, asleep, deadline))
      return state_.load(std::memory_order_acquire) == woken;
  }
  return true;
}

void thread_waiter::wait(parking_place& place, const wait_limit& limit) {
  bool out_of_time = false;
  {
    const observed_wait observed(this_thread_party(), &place, {.limited = limit.deadline != never});
    if (observed.refusal() && place.withdraw(*this)) [[unlikely]]
      std::rethrow_exception(observed.refusal());
    const blocking_scope blocking;
    const cancellation_callback on_cancellation(limit.token, [&]() noexcept {
      if (!place.withdraw(*this))
        return;
      observed.withdrawn();
      reason = wake_reason::cancelled;
      wake();
    });
    if (!parked_until(limit.deadline)) {
      out_of_time = place.withdraw(*this);
      if (!out_of_time)
        parked_until(never);
    }
  }
  if (out_of_time)
    throw timed_out();
  if (reason == wake_reason::cancelled)
    throw cancelled();
}

} // namespace fourfold
