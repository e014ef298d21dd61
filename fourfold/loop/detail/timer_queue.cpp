#include <fourfold/loop/detail/timer_queue.hpp>

#include <algorithm>

namespace fourfold::detail {
namespace {

// `argument` holds the place plus one; null says "not parked".
std::size_t place_of(const waiter& w) noexcept { return reinterpret_cast<std::uintptr_t>(w.argument) - 1; }

} // namespace

void timer_queue::arm(waiter& w, clock::time_point deadline) {
  // Growing by half wastes less than doubling does with a million timers.
  if (heap_.size() == heap_.capacity())
    heap_.reserve(heap_.size() + heap_.size() / 2 + 16);
  heap_.emplace_back();
  sift_up(heap_.size() - 1, {deadline, &w, armed_++});
}

bool timer_queue::withdraw(waiter& w) noexcept {
  if (w.argument == nullptr)
    return false;
  remove(place_of(w));
  return true;
}

void timer_queue::fire(clock::time_point now) {
  while (!heap_.empty() && heap_.front().deadline <= now) {
    waiter& due = *heap_.front().parked;
    remove(0);
    due.wake();
  }
}

void timer_queue::remove(std::size_t place) noexcept {
  heap_[place].parked->argument = nullptr;
  const entry last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size())
    return;
  if (place > 0 && last.before(heap_[(place - 1) / arity])) {
    sift_up(place, last);
  } else {
    sift_down(place, last);
  }
}

void timer_queue::place_at(std::size_t place, const entry& e) noexcept {
  heap_[place] = e;
  e.parked->argument = reinterpret_cast<void*>(static_cast<std::uintptr_t>(place + 1));
}

void timer_queue::sift_up(std::size_t place, const entry& e) noexcept {
  while (place > 0) {
    const std::size_t parent = (place - 1) / arity;
    if (!e.before(heap_[parent]))
      break;
    place_at(place, heap_[parent]);
    place = parent;
  }
  place_at(place, e);
}

void timer_queue::sift_down(std::size_t place, const entry& e) noexcept {
  for (;;) {
    const std::size_t first = place * arity + 1;
    if (first >= heap_.size())
      break;
    const std::size_t end = std::min(first + arity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].before(heap_[least]))
        least = child;
    }
    if (!heap_[least].before(e))
      break;
    place_at(place, heap_[least]);
    place = least;
  }
  place_at(place, e);
}

} // namespace fourfold::detail
