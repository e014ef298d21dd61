#include <fourfold/base/misuse.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/detail/trampoline.hpp>

namespace fourfold {

namespace detail {

root_context::~root_context() {
  if (linked())
    unlink();
  tell_wait_observer(&wait_observer::gone, party());
}

void root_context::begin(cancel_scope& scope, std::coroutine_handle<> root) noexcept {
  suspended(root, nullptr);
  scope_ = &scope;
  scope.adopt(*this);
}

void root_context::run_ready() noexcept {
  set_current(this);
  const bool ended = run_chain(resume_point());
  set_current(nullptr);
  if (ended)
    finished();
}

} // namespace detail

cancel_scope::cancel_scope(cancel_scope* parent, kind k) noexcept
    : parent_(parent),
      shielded_(k == kind::shielded),
      effective_(parent != nullptr && parent->effective_ && !shielded_) {
  if (parent != nullptr)
    parent->scopes_.push_back(*this);
}

cancel_scope::~cancel_scope() {
  if (!contexts_.empty() || !scopes_.empty())
    misuse("a cancel scope was destroyed while work is still inside");
  if (linked())
    unlink();
}

void cancel_scope::cancel() noexcept {
  requested_ = true;
  take_effect();
}

void cancel_scope::cancel_through_shields() noexcept {
  cancel();
  scopes_.for_each([](cancel_scope& inner) {
    inner.shielded_ = false;
    inner.cancel_through_shields();
  });
}

void cancel_scope::take_effect() noexcept {
  if (effective_)
    return;
  effective_ = true;
  // Interrupting a wait only queues the chain for resumption, so neither list changes under the walk.
  contexts_.for_each([](detail::root_context& context) { context.set_cancellation_due(true); });
  scopes_.for_each([](cancel_scope& inner) {
    if (!inner.shielded_)
      inner.take_effect();
  });
}

void cancel_scope::adopt(detail::root_context& context) noexcept {
  contexts_.push_back(context);
  context.set_cancellation_due(effective_);
}

void cancel_scope::enter(detail::root_context& context) noexcept {
  context.unlink();
  context.scope_ = this;
  adopt(context);
}

void cancel_scope::leave(detail::root_context& context) noexcept {
  context.unlink();
  context.scope_ = parent_;
  parent_->adopt(context);
}

} // namespace fourfold
