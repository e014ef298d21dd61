#include <fourfold/loop/detail/timer_queue.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <ratio>
#include <type_traits>

namespace fourfold::detail {

static_assert(sizeof(void*) == sizeof(std::uint64_t), "a deadline has to fit into waiter::argument");
static_assert(std::is_same_v<clock::period, std::nano> && sizeof(clock::rep) == sizeof(std::uint64_t));

namespace {
constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;
}

timer_queue::key timer_queue::key_of(clock::time_point time) noexcept {
  return static_cast<key>(time.time_since_epoch().count()) ^ sign_bit;
}

clock::time_point timer_queue::time_of(key k) noexcept {
  return clock::time_point(clock::duration(static_cast<clock::rep>(k ^ sign_bit)));
}

void timer_queue::arm(waiter& w, clock::time_point deadline) noexcept {
  const key k = key_of(deadline);
  w.argument = reinterpret_cast<void*>(static_cast<std::uintptr_t>(k));
  ++armed_;
  if (k >= present_) {
    put(w);
  } else {
    // Few, as the loop fires between any two batches of what it runs, and armed mostly in order.
    overdue_.insert_sorted(w, [](const waiter& a, const waiter& b) { return key_of(a) < key_of(b); });
  }
}

void timer_queue::put(waiter& w) noexcept {
  const key k = key_of(w);
  // The highest bit in which deadline and present differ decides. Two deadlines that are equal always stand
  // in the same slot, so lists that are appended to, and cascaded from the front, keep the order of arming.
  const auto length = static_cast<unsigned>(std::bit_width((k ^ present_) >> group_bits));
  const unsigned level = length == 0 ? 0 : (length - 1) / step_bits;
  const unsigned index = static_cast<unsigned>(k >> (level * step_bits)) % slots_per_level;
  slot& s = at({level, index});
  if (s.timers.empty()) {
    s.earliest = k;
    occupied_slots_[level][index / 64] |= std::uint64_t{1} << (index % 64);
    occupied_levels_ |= std::uint32_t{1} << level;
  } else {
    s.earliest = std::min(s.earliest, k);
  }
  s.timers.push_back(w);
}

bool timer_queue::find_first(place& found) noexcept {
  for (; occupied_levels_ != 0; occupied_levels_ &= occupied_levels_ - 1) {
    const auto level = static_cast<unsigned>(std::countr_zero(occupied_levels_));
    for (unsigned word = 0; word < words_per_level; ++word) {
      std::uint64_t& slots = occupied_slots_[level][word];
      for (; slots != 0; slots &= slots - 1) {
        found = {level, word * 64 + static_cast<unsigned>(std::countr_zero(slots))};
        if (!at(found).timers.empty())
          return true;
      }
    }
  }
  return false;
}

clock::time_point timer_queue::next() noexcept {
  if (!overdue_.empty())
    return time_of(key_of(overdue_.front()));
  place p;
  if (!find_first(p))
    return never;
  slot& s = at(p);
  return time_of(single(s) ? key_of(s.timers.front()) : s.earliest);
}

void timer_queue::fire(clock::time_point now_time) noexcept {
  const key now = key_of(now_time);
  // Found anew each time: a woken waiter may have changed anything.
  while (waiter* due = take_due(now))
    due->wake();
  if (now <= present_)
    return;
  // What is left is due later; but some may stand in the group of slots that time has entered.
  place p;
  if (find_first(p) && p.level > 0 && group_start(p) <= now) {
    cascade(p, now);
  } else {
    present_ = now;
  }
}

/// The next that is due, taken out, or null.
waiter* timer_queue::take_due(key now) noexcept {
  const auto take_first = [&](intrusive_list<waiter>& from) -> waiter* {
    if (key_of(from.front()) > now)
      return nullptr;
    --armed_;
    return &from.pop_front();
  };
  if (!overdue_.empty())
    return take_first(overdue_);
  for (place p; find_first(p);) {
    slot& s = at(p);
    // The only one needs no way down; on level 0 they are all equal.
    if (p.level == 0 || single(s))
      return take_first(s.timers);
    if (s.earliest > now)
      return nullptr;
    cascade(p, group_start(p));
  }
  return nullptr;
}

timer_queue::key timer_queue::group_start(place p) const noexcept {
  const unsigned group_shift = p.level * step_bits + group_bits;
  const key in_level = key{p.index >> group_bits} << group_shift;
  const unsigned level_shift = group_shift + step_bits;
  return level_shift >= 64 ? in_level : (present_ >> level_shift << level_shift) | in_level;
}

/// Time goes on to `present`, in the group of slots around `p`; all in it move down. The group is the
/// earliest that is occupied, so the levels below are empty.
void timer_queue::cascade(place p, key present) noexcept {
  present_ = present;
  slot* const group = &at({p.level, p.index & ~(group_size - 1)});
  for (bool more = true; more;) {
    more = false;
    for (unsigned i = 0; i < group_size; ++i) {
      intrusive_list<waiter>& timers = group[i].timers;
      if (timers.empty())
        continue;
      waiter& first = timers.pop_front();
      if (!timers.empty()) {
        more = true;
        // Asked for now, it is there when the other lists have had their turn.
        __builtin_prefetch(&timers.front());
      }
      put(first);
    }
  }
}

} // namespace fourfold::detail
