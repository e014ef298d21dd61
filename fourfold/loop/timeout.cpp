#include <fourfold/loop/timeout.hpp>

namespace fourfold {

timeout_scope::timeout_scope(clock::time_point deadline)
    : context_(detail::root_context::current_or_throw()), scope_(&context_.scope()) {
  reschedule(deadline);
  scope_.enter(context_);
  tell_wait_observer(&wait_observer::limit_changes, context_.party(), 1);
}

void timeout_scope::reschedule(clock::time_point deadline) {
  if (expired())
    throw error("timeout_scope: moved after it had expired");
  if (&context_.owner() != loop::current_or_null())
    throw wrong_thread("timeout_scope: it belongs to another loop's thread");
  detail::timer_queue& timers = loop::current().timers();
  timers.withdraw(*this);
  if (deadline != never)
    timers.arm(*this, deadline);
  deadline_ = deadline;
}

bool timeout_scope::leave() noexcept {
  if (!inside_)
    return false;
  inside_ = false;
  static_cast<loop&>(context_.owner()).timers().withdraw(*this);
  scope_.leave(context_);
  tell_wait_observer(&wait_observer::limit_changes, context_.party(), -1);
  return scope_.cancel_requested() && !context_.cancellation_due();
}

} // namespace fourfold
