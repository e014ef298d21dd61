#include <fourfold/sync/event.hpp>

namespace fourfold {

void event::set() noexcept {
  taken_waiters released;
  {
    // Set under the lock: a waiter that sees the flag and destroys the event waits in ~wait_list until we are
    // out.
    const std::lock_guard guard(waiting_.lock);
    // Release: pairs with the acquire in is_set().
    set_.store(true, std::memory_order_release);
    released.take_all(waiting_.waiters);
  }
  released.wake_all();
}

bool event::wait_operation::park(waiter& w) noexcept {
  const std::lock_guard guard(self.waiting_.lock);
  if (self.set_.load(std::memory_order_relaxed))
    return false;
  self.waiting_.waiters.push_back(w);
  return true;
}

} // namespace fourfold
