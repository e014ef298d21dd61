#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/waiter.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fourfold::detail {

/// The loop's timers: waiters ordered by deadline, and by arming among equal ones, in a four-ary heap (half
/// the depth of a binary one, and a node's children share a cache line or two). Arming and disarming are
/// O(log n) and allocate only when the heap grows. A parked waiter's `argument` is its place in the heap.
class timer_queue final : public parking_place {
 public:
  /// Parks `w` until `deadline`.
  void arm(waiter& w, clock::time_point deadline);
  bool withdraw(waiter& w) noexcept override;

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  /// The next deadline, or `never`.
  [[nodiscard]] clock::time_point next() const noexcept {
    return heap_.empty() ? never : heap_.front().deadline;
  }
  /// Wakes those whose deadline is not after `now`, in order.
  void fire(clock::time_point now);

 private:
  struct entry {
    clock::time_point deadline;
    waiter* parked;
    std::uint64_t order;
    [[nodiscard]] bool before(const entry& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : order < other.order;
    }
  };
  static constexpr std::size_t arity = 4;

  void remove(std::size_t place) noexcept;
  void place_at(std::size_t place, const entry& e) noexcept;
  void sift_up(std::size_t place, const entry& e) noexcept;
  void sift_down(std::size_t place, const entry& e) noexcept;

  std::vector<entry> heap_;
  std::uint64_t armed_ = 0;
};

} // namespace fourfold::detail
