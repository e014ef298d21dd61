#pragma once

#include <fourfold/base/coroutine_context.hpp>

#include <atomic>

namespace fourfold::detail {

/// What other threads hand to a loop: any number of producers, one consumer, one atomic operation per item,
/// and the answer to "must I ring the bell?" from that same operation. The last point matters for lifetime:
/// after its push a producer touches the loop again only if it was told to ring, and a loop that was asleep
/// knows that a bell is coming.
class inbox {
 public:
  /// True when the consumer sleeps and this producer, nobody else, must wake it. Any thread.
  [[nodiscard]] bool push(ready_item& item) noexcept {
    ready_item* head = head_.load(std::memory_order_relaxed);
    do {
      item.next_ready = head == asleep() ? nullptr : head;
      // Release: publishes the item to take_all().
    } while (!head_.compare_exchange_weak(head, &item, std::memory_order_release, std::memory_order_relaxed));
    return head == asleep();
  }

  [[nodiscard]] bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }

  /// Takes everything, oldest first. Consumer; not asleep.
  [[nodiscard]] ready_item* take_all() noexcept {
    // Acquire: pairs with the release in push().
    ready_item* newest = head_.exchange(nullptr, std::memory_order_acquire);
    ready_item* oldest_first = nullptr;
    while (newest != nullptr) {
      ready_item* older = newest->next_ready;
      newest->next_ready = oldest_first;
      oldest_first = newest;
      newest = older;
    }
    return oldest_first;
  }

  /// Consumer: from now on the next producer rings. False if something is there already.
  [[nodiscard]] bool fall_asleep() noexcept {
    ready_item* expected = nullptr;
    return head_.compare_exchange_strong(expected, asleep(), std::memory_order_relaxed);
  }
  /// Consumer: ends the sleep. True when a producer has been told to ring: exactly one bell has come or is
  /// coming.
  [[nodiscard]] bool wake_up() noexcept {
    ready_item* expected = asleep();
    return !head_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
  }

 private:
  static ready_item* asleep() noexcept { return &asleep_mark_; }
  struct mark final : ready_item {
    void run_ready() noexcept override {}
  };
  static inline mark asleep_mark_;

  std::atomic<ready_item*> head_{nullptr};
};

} // namespace fourfold::detail
