#pragma once

#include <fourfold/base/coroutine_context.hpp>

#include <utility>

namespace fourfold {

/// Makes `bindings` those of the running coroutine, or else of this thread, until it ends; for those who write
/// executors: around a call, with what current_context() was where the call was submitted. Scopes end in the
/// reverse order of their beginning, in the coroutine or on the thread that made them.
class context_scope {
 public:
  explicit context_scope(context_bindings bindings) noexcept
      : slot_(coroutine_context::bindings_slot()), previous_(std::exchange(slot_, bindings.release())) {}
  ~context_scope() { static_cast<void>(context_bindings(std::exchange(slot_, previous_))); }
  context_scope(const context_scope&) = delete;
  context_scope& operator=(const context_scope&) = delete;

 private:
  const detail::context_node*& slot_;
  const detail::context_node* previous_;
};

} // namespace fourfold
