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

void throw_ended(wake_reason reason, const std::exception_ptr& refusal) {
  if (reason == wake_reason::cancelled)
    throw cancelled();
  if (refusal)
    std::rethrow_exception(refusal);
  throw deadlock("this wait closed a circle; the detection that found it has ended, and its report with it");
}

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
  const party_id who = this_thread_party();
  tell_wait_observer(&wait_observer::waits, who, resource_id(&place),
                     wait_terms{.limited = limit.deadline != never, .parked = this, .place = &place});
  bool out_of_time = false;
  {
    const blocking_scope blocking;
    const cancellation_callback on_cancellation(limit.token, [&]() noexcept {
      if (!withdraw_from(place))
        return;
      if (waits_are_observed()) [[unlikely]]
        static_cast<void>(tell_goes_on(who));
      reason = wake_reason::cancelled;
      wake();
    });
    if (!parked_until(limit.deadline)) {
      out_of_time = withdraw_from(place);
      if (!out_of_time)
        parked_until(never);
    }
  }
  std::exception_ptr refusal;
  if (waits_are_observed()) [[unlikely]]
    refusal = tell_goes_on(who);
  if (out_of_time)
    throw timed_out();
  if (reason >= wake_reason::cancelled)
    throw_ended(reason, refusal);
}

} // namespace fourfold
