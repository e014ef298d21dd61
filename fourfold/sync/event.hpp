#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <atomic>
#include <cstdint>

namespace fourfold {

/// A flag that one sets and many wait for, threads and coroutines alike. It stays set until cleared.
///
///   event ready;
///   ready.wait(1s);  /  co_await ready.async_wait();        ready.set();
///
/// Cancellation-aware: yes, both forms. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts; a waiter that was released may destroy it at once,
/// unless another one's wait may be cut short in that moment by its limit or from another thread.
class event {
 public:
  explicit event(bool set = false) noexcept : set_(set) {}
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  [[nodiscard]] bool is_set() const noexcept {
    // Acquire: pairs with the release in set().
    return set_.load(std::memory_order_acquire);
  }
  /// Releases every waiter, and whoever comes until clear().
  void set() noexcept;
  void clear() noexcept { set_.store(false, std::memory_order_relaxed); }

  /// Waits until the event is set. Throws `timed_out` or `cancelled`.
  void wait(const wait_limit& limit = {}) { wait_blocking(wait_operation{*this}, limit); }
  [[nodiscard]] auto async_wait() noexcept { return awaitable_operation(wait_operation{*this}); }

 private:
  struct wait_operation {
    event& self;
    bool try_now() noexcept { return self.is_set(); }
    bool park(waiter& w) noexcept;
    parking_place& place() noexcept { return self.waiting_; }
    void result(wake_reason) noexcept {}
  };

  std::atomic<bool> set_;
  wait_list waiting_;
};

} // namespace fourfold
