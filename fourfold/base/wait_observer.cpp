#include <fourfold/base/wait_observer.hpp>

#include <sched.h>

namespace fourfold {
namespace {

constinit std::atomic<std::uint64_t> calls_under_way{0};

} // namespace

namespace detail {

// Sequentially consistent, as in set_wait_observer(): either this call sees that the observer has changed, or who
// changes it sees this call.
observer_call::observer_call() noexcept {
  calls_under_way.fetch_add(1, std::memory_order_seq_cst);
  observer_ = current_wait_observer.load(std::memory_order_seq_cst);
}

observer_call::~observer_call() { calls_under_way.fetch_sub(1, std::memory_order_release); }

} // namespace detail

wait_observer* set_wait_observer(wait_observer* observer) noexcept {
  if (wait_observer* const present = detail::current_wait_observer.load(std::memory_order_acquire))
    present->ends_to_observe();
  wait_observer* before = detail::current_wait_observer.exchange(nullptr, std::memory_order_seq_cst);
  // Acquire, on top: what the calls have done to the observer that may be destroyed now.
  while (calls_under_way.load(std::memory_order_seq_cst) != 0)
    sched_yield();
  if (observer != nullptr) {
    observer->begins_to_observe();
    detail::current_wait_observer.store(observer, std::memory_order_seq_cst);
  }
  return before;
}

std::exception_ptr tell_goes_on(party_id who) noexcept {
  const detail::observer_call call;
  return call.observer() != nullptr ? call.observer()->goes_on(who) : nullptr;
}

} // namespace fourfold
