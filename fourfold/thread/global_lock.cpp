#include <fourfold/base/errors.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/thread/global_lock.hpp>

#include <algorithm>
#include <mutex>
#include <stdexcept>

namespace fourfold {

/// A thread that waits for the lock. Unlike thread_waiter it looks up once per interval, without losing its
/// place.
class global_lock::lock_waiter final : public waiter {
 public:
  lock_waiter() noexcept : thread(this_thread()) {}

  void wake() noexcept override {
    // Release: pairs with the acquire in woken(): what earlier holders did, and `reason`.
    woken_.store(1, std::memory_order_release);
    detail::futex_wake_one(woken_);
  }
  [[nodiscard]] bool woken() const noexcept { return woken_.load(std::memory_order_acquire) != 0; }
  /// Returns when woken, at the deadline, or for no reason.
  void sleep_until(clock::time_point deadline) noexcept { detail::futex_wait(woken_, 0, deadline); }

  const std::uintptr_t thread;
  // The lock's switches_ when this waiter's interval began. Guarded by the list's lock.
  std::uint64_t switches_seen = 0;

 private:
  std::atomic<std::uint32_t> woken_{0};
};

global_lock::global_lock(clock::duration switch_interval) : switch_interval_(0) {
  set_switch_interval(switch_interval);
}

void global_lock::set_switch_interval(clock::duration interval) {
  if (interval <= clock::duration::zero())
    throw std::invalid_argument("global_lock: the switch interval must be positive");
  switch_interval_.store(interval.count(), std::memory_order_relaxed);
}

clock::duration global_lock::switch_interval() const noexcept {
  return clock::duration(switch_interval_.load(std::memory_order_relaxed));
}

bool global_lock::try_acquire() noexcept {
  std::uintptr_t free = 0;
  // Acquire: pairs with the release in release().
  return word_.compare_exchange_strong(free, this_thread(), std::memory_order_acquire,
                                       std::memory_order_relaxed);
}

void global_lock::acquire(const wait_limit& limit) {
  if (limit.token.cancellation_requested())
    throw_cancelled();
  if (!try_acquire())
    acquire_slowly(limit);
}

void global_lock::acquire_slowly(const wait_limit& limit) {
  if (held_by_this_thread())
    throw error("global_lock: this thread holds the lock already");
  lock_waiter w;
  {
    const std::lock_guard guard(waiting_.lock);
    if (!park(w))
      return;
  }
  wait(w, limit);
}

bool global_lock::park(lock_waiter& w) noexcept {
  std::uintptr_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (word == 0) {
      if (word_.compare_exchange_weak(word, w.thread, std::memory_order_acquire, std::memory_order_relaxed))
        return false;
    } else if (word_.compare_exchange_weak(word, word | somebody_waits, std::memory_order_relaxed)) {
      // From here on a release takes the list's lock, which this thread holds.
      w.switches_seen = switches_;
      waiting_.waiters.push_back(w);
      return true;
    }
  }
}

void global_lock::wait(lock_waiter& w, const wait_limit& limit) {
  bool out_of_time = false;
  {
    const cancellation_callback on_cancellation(limit.token, [&]() noexcept {
      if (!waiting_.withdraw(w))
        return;
      w.reason = wake_reason::cancelled;
      w.wake();
    });
    clock::time_point interval_end = deadline_after(switch_interval());
    while (!w.woken()) {
      w.sleep_until(out_of_time ? never : std::min(interval_end, limit.deadline));
      if (w.woken())
        break;
      const auto now = clock::now();
      // Once somebody else has taken it out of the list, its wake-up is on the way.
      if (now >= limit.deadline && !out_of_time) {
        out_of_time = true;
        if (waiting_.withdraw(w))
          throw timed_out();
      }
      if (now >= interval_end && !out_of_time) {
        ask(w);
        interval_end = deadline_after(switch_interval());
      }
    }
  }
  if (w.reason == wake_reason::cancelled)
    throw cancelled();
}

void global_lock::ask(lock_waiter& w) noexcept {
  const std::lock_guard guard(waiting_.lock);
  // The present holder gets a whole interval: a waiter that saw a switch starts a new one.
  if (w.linked() && w.switches_seen == switches_)
    word_.fetch_or(asked, std::memory_order_relaxed);
  w.switches_seen = switches_;
}

void global_lock::release() {
  std::uintptr_t held = this_thread();
  // Release: pairs with the acquire in try_acquire() and park().
  if (word_.compare_exchange_strong(held, 0, std::memory_order_release, std::memory_order_relaxed))
    return;
  if ((held & ~flags) != this_thread())
    throw error("global_lock: release() by a thread that does not hold the lock");
  release_slowly();
}

void global_lock::release_slowly() {
  lock_waiter* next = nullptr;
  {
    const std::lock_guard guard(waiting_.lock);
    next = give_to_oldest();
    if (next == nullptr)
      word_.store(0, std::memory_order_release);
  }
  if (next != nullptr)
    next->wake();
}

global_lock::lock_waiter* global_lock::give_to_oldest() noexcept {
  if (waiting_.waiters.empty())
    return nullptr;
  auto& next = static_cast<lock_waiter&>(waiting_.waiters.pop_front());
  ++switches_;
  // Without `asked`: the new holder has a whole interval. Its acquire is that of the wake-up.
  word_.store(next.thread | (waiting_.waiters.empty() ? 0 : somebody_waits), std::memory_order_relaxed);
  return &next;
}

void global_lock::hand_over() {
  if (!held_by_this_thread())
    throw error("global_lock: checkpoint() by a thread that does not hold the lock");
  lock_waiter w;
  lock_waiter* next = nullptr;
  {
    const std::lock_guard guard(waiting_.lock);
    next = give_to_oldest();
    if (next == nullptr) {
      word_.store(this_thread(), std::memory_order_relaxed); // who asked has given up
      return;
    }
    park(w);
  }
  hand_overs_.fetch_add(1, std::memory_order_relaxed);
  next->wake();
  wait(w, {});
}

} // namespace fourfold
