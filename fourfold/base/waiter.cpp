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
  while (woken_.load(std::memory_order_acquire) == 0) {
    if (!detail::futex_wait(woken_, 0, deadline))
      return woken_.load(std::memory_order_acquire) != 0;
  }
  return true;
}

void thread_waiter::wait(parking_place& place, const wait_limit& limit) {
  bool out_of_time = false;
  {
    const blocking_scope blocking;
    const cancellation_callback on_cancellation(limit.token, [&]() noexcept {
      if (!place.withdraw(*this))
        return;
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
