#pragma once

#include <fourfold/base/misuse.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/base/waiter.hpp>

#include <mutex>

namespace fourfold {

/// Waiters in order of arrival and the lock that guards them: the slow path of a primitive whose fast path is one
/// atomic operation. The primitive decides everything under `lock`, and wakes after leaving it.
class wait_list final : public parking_place {
 public:
  wait_list() noexcept = default;
  ~wait_list() {
    // Who was let through may destroy the primitive while the one that let it through is still on its way out of the lock.
    lock.lock();
    if (!waiters.empty()) misuse("a synchronisation object was destroyed while somebody waits on it");
  }

  bool withdraw(waiter& w) noexcept override {
    const std::lock_guard guard(lock);
    if (!w.linked()) return false;
    w.unlink();
    return true;
  }

  small_lock lock;
  intrusive_list<waiter> waiters;
};

/// Wakes everything in `granted`; each waiter may be gone once it is woken.
inline void wake_all(intrusive_list<waiter>& granted) noexcept {
  while (!granted.empty()) granted.pop_front().wake();
}

}  // namespace fourfold
