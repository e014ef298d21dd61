#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/waiter.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fourfold::detail {

/// The loop's timers: waiters that are woken in the order of their deadlines, and of arming among equal ones,
/// never early. Arming and withdrawing take constant time and allocate nothing; a timer costs its waiter and
/// no more, for its deadline is kept in the waiter's `argument`.
///
/// A hierarchical timing wheel (Varghese and Lauck, 1987). Level n has 128 slots, each 16^n ns wide; a slot is
/// a list in order of arming. Time moves on by `fire()`, and a timer stands on the lowest level that reaches
/// from the present to its deadline; when time comes near, it moves down (`cascade()`), at the latest to
/// level 0, where all in one slot have the same deadline. So nothing is ever sorted. All that stand on one
/// level are due before those on the levels above, which makes the earliest slot a matter of bits, and time
/// can jump by years at the cost of what falls due.
///
/// Threads: the loop's. A queue is not destroyed before its waiters have been woken or withdrawn. Bad at:
/// many deadlines that had passed when they were armed, in no order; each is sorted in by a walk.
class timer_queue final : public parking_place {
 public:
  /// Parks `w` until `deadline`. One that has passed is due at the next fire(); `never` is not due at all,
  /// before the end of time.
  void arm(waiter& w, clock::time_point deadline) noexcept;
  /// See parking_place; false for a waiter that was not armed or has been woken.
  bool withdraw(waiter& w) noexcept override {
    if (!w.linked())
      return false;
    w.unlink();
    --armed_;
    return true;
  }

  [[nodiscard]] bool empty() const noexcept { return armed_ == 0; }
  /// When fire() is to be called: the next deadline, or `never`. Earlier than that at most once for each
  /// slot, when the deadline that came first in it has been withdrawn; the call then puts it right.
  [[nodiscard]] clock::time_point next() noexcept;
  /// Wakes those whose deadline is not after `now`. They may arm and withdraw meanwhile; what they arm is
  /// woken too if it is due.
  void fire(clock::time_point now) noexcept;

 private:
  /// Nanoseconds, biased so that time points compare as unsigned numbers.
  using key = std::uint64_t;

  // Eight slots of a level are as wide as the level below is long, and are cascaded together: their lists are
  // eight chains, so that eight cache misses are on their way at a time where a single list has one. That is
  // what a million timers take their time with: levels of 256 slots that are cascaded one by one, half as
  // many to go down, need more than twice as long to fire them.
  static constexpr unsigned step_bits = 4;
  static constexpr unsigned group_bits = 3;
  static constexpr unsigned group_size = 1U << group_bits;
  static constexpr unsigned slots_per_level = 1U << (step_bits + group_bits);
  static constexpr unsigned words_per_level = slots_per_level / 64;
  static constexpr unsigned level_count = (64 - group_bits + step_bits - 1) / step_bits;

  struct slot {
    intrusive_list<waiter> timers;
    /// The least deadline armed since it was empty; may have been withdrawn.
    key earliest = 0;
  };
  struct place {
    unsigned level;
    unsigned index;
  };

  static key key_of(clock::time_point time) noexcept;
  static key key_of(const waiter& w) noexcept { return reinterpret_cast<std::uintptr_t>(w.argument); }
  static clock::time_point time_of(key k) noexcept;
  static bool single(slot& s) noexcept { return &s.timers.front() == &s.timers.back(); }

  slot& at(place p) noexcept { return slots_[p.level * slots_per_level + p.index]; }
  void put(waiter& w) noexcept;
  /// The earliest slot that is not empty, or false.
  bool find_first(place& found) noexcept;
  waiter* take_due(key now) noexcept;
  key group_start(place p) const noexcept;
  void cascade(place p, key present) noexcept;

  /// The present: no deadline in the wheel is before it. At every level above the lowest, the group of slots
  /// that contains it is empty, as what belongs there stands further down.
  key present_ = 0;
  std::size_t armed_ = 0;
  // A bit for each level and each slot that may be occupied: withdraw() does not know the slot and leaves the
  // bit behind, as does what empties a slot otherwise. find_first() clears those.
  std::uint32_t occupied_levels_ = 0;
  std::array<std::array<std::uint64_t, words_per_level>, level_count> occupied_slots_{};
  /// Armed with a deadline before the present; in the order in which they are due.
  intrusive_list<waiter> overdue_;
  std::array<slot, std::size_t{level_count} * slots_per_level> slots_;
};

} // namespace fourfold::detail
