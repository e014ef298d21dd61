#pragma once

#include <fourfold/thread/detail/pool_job.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fourfold::detail {

/// Where threads from outside put their calls. A push is one compare-exchange; a thread of the pool takes
/// everything at once (so there is no ABA problem) and lays it out in its own deque.
class injection_queue {
 public:
  /// False when the queue is closed.
  bool push(pool_job& job) noexcept {
    pool_job* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == closed())
        return false;
      job.next = head;
      // Release for the job, pairing with take_all(); sequentially consistent because the caller then looks
      // whether somebody sleeps, while who goes to sleep looks whether this is empty.
    } while (!head_.compare_exchange_weak(head, &job, std::memory_order_seq_cst, std::memory_order_relaxed));
    return true;
  }

  /// Everything in it, newest first, linked by `next`; or null.
  pool_job* take_all() noexcept {
    pool_job* head = head_.load(std::memory_order_relaxed);
    if (head == nullptr || head == closed())
      return nullptr;
    // Acquire: pairs with push(). It cannot have been closed meanwhile: only an idle pool is, and the caller
    // keeps it busy ... except stop()'s caller, hence the comparison.
    while (
        !head_.compare_exchange_weak(head, nullptr, std::memory_order_acquire, std::memory_order_relaxed)) {
      if (head == nullptr || head == closed())
        return nullptr;
    }
    return head;
  }

  [[nodiscard]] bool empty() const noexcept {
    const pool_job* head = head_.load(std::memory_order_seq_cst);
    return head == nullptr || head == closed();
  }

  /// Refuses further pushes; false, changing nothing, when it is not empty.
  bool close_if_empty() noexcept {
    pool_job* expected = nullptr;
    return head_.compare_exchange_strong(expected, closed(), std::memory_order_seq_cst) ||
           expected == closed();
  }

 private:
  static pool_job* closed() noexcept { return reinterpret_cast<pool_job*>(&closed_marker_); }
  static inline std::uintptr_t closed_marker_ = 0;

  std::atomic<pool_job*> head_{nullptr};
};

} // namespace fourfold::detail
