#pragma once

#include <fourfold/base/misuse.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/base/waiter.hpp>

#include <mutex>

namespace fourfold {

/// Waiters in order of arrival and the lock that guards them: the slow path of a primitive whose fast path is
/// one atomic operation. The primitive decides everything under `lock`, and wakes after leaving it.
class wait_list final : public parking_place {
 public:
  wait_list() noexcept = default;
  ~wait_list() {
    // Before the lock: the observer may be about to withdraw somebody.
    tell_wait_observer(&wait_observer::gone, resource());
    // Who was let through may destroy the primitive while the one that let it through is still on its way out
    // of the lock.
    lock.lock();
    if (!waiters.empty())
      misuse("a synchronisation object was destroyed while somebody waits on it");
  }

  bool withdraw(waiter& w) noexcept override {
    const std::lock_guard guard(lock);
    if (!w.linked())
      return false;
    w.unlink();
    return true;
  }

  /// As those who wait here are seen by an observer.
  [[nodiscard]] resource_id resource() const noexcept { return static_cast<const parking_place*>(this); }

  small_lock lock;
  intrusive_list<waiter> waiters;
};

/// Waiters taken out under the primitive's lock, to be woken after leaving it. They stand in no list any
/// more, so that withdraw() says of them what is true: it is decided, their wake-up is on the way. They are
/// chained through `argument`, which the primitive has used by then.
class taken_waiters {
 public:
  /// Takes `w` out of the list that it stands in.
  void take(waiter& w) noexcept {
    w.unlink();
    w.set_decided();
    w.argument = nullptr;
    *end_ = &w;
    end_ = &w.argument;
  }
  void take_all(intrusive_list<waiter>& waiters) noexcept {
    while (!waiters.empty())
      take(waiters.front());
  }
  /// Once, in the order of taking; each waiter may be gone once it is woken.
  void wake_all(wake_reason reason = wake_reason::granted) noexcept {
    for (void* at = first_; at != nullptr;) {
      waiter& w = *static_cast<waiter*>(at);
      at = w.argument;
      w.reason = reason;
      w.wake();
    }
  }

 private:
  void* first_ = nullptr;
  void** end_ = &first_;
};

} // namespace fourfold
