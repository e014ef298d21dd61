#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>

namespace fourfold {

void coroutine_context::throw_no_context() {
  throw wrong_thread(
      "co_await outside of a loop: this awaitable belongs to a coroutine that a fourfold loop runs, on that "
      "loop's thread");
}

void coroutine_waiter::tell_of_wait(parking_place& place) {
  std::exception_ptr refusal;
  {
    const detail::observer_call call;
    if (call.observer() != nullptr)
      refusal = call.observer()->waits(context_->party(), &place, {});
  }
  if (!refusal || !place.withdraw(*this))
    return;
  tell_wait_observer(&wait_observer::goes_on, context_->party());
  context_->resumed();
  std::rethrow_exception(refusal);
}

} // namespace fourfold
