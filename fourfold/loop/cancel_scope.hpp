#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/intrusive_list.hpp>

#include <string_view>

namespace fourfold {

class cancel_scope;

namespace detail {

/// A coroutine context as the loop runs it: the root of a chain, standing in the cancel scope that it is in
/// now.
class root_context : public coroutine_context, public list_links {
 public:
  explicit root_context(scheduler& owner) noexcept : coroutine_context(owner) {}

  [[nodiscard]] static root_context& current_or_throw() {
    return static_cast<root_context&>(coroutine_context::current_or_throw());
  }
  [[nodiscard]] cancel_scope& scope() const noexcept { return *scope_; }

  /// Runs the chain until it suspends or ends.
  void run_ready() noexcept override;

 protected:
  ~root_context();

  /// Puts the chain that begins at `root` into `scope`; then run_ready() may be called. Loop thread.
  void begin(cancel_scope& scope, std::coroutine_handle<> root) noexcept;

 private:
  friend class fourfold::cancel_scope;
  /// The chain has ended; may destroy this. Loop thread.
  virtual void finished() noexcept = 0;

  cancel_scope* scope_ = nullptr;
};

} // namespace detail

/// A region of work that is cancelled as a whole: every chain of coroutines inside, and every scope inside.
///
/// Cancellation is a state, not an event: from the moment it is requested, every suspension point inside
/// throws `cancelled`, the present one first, until the scope is left. So it cannot be swallowed by accident,
/// and clean-up code that has to await runs in a shielded scope (`shield`), which cancellation from outside
/// does not enter.
///
/// `with_task_group`, `gather` and `timeout` are made of it; most programs need no other. Threads: the
/// loop's.
class cancel_scope : public list_links {
 public:
  enum class kind : bool { ordinary, shielded };

  /// A scope inside `parent` (null: outermost).
  explicit cancel_scope(cancel_scope* parent, kind k = kind::ordinary) noexcept;
  ~cancel_scope();
  cancel_scope(const cancel_scope&) = delete;
  cancel_scope& operator=(const cancel_scope&) = delete;

  /// Cancels what is inside, now and later. Once; repeating it changes nothing.
  void cancel() noexcept;
  /// The same, and shields inside do not help: for what must end.
  void cancel_through_shields() noexcept;
  /// Whether cancel() was called on this scope itself.
  [[nodiscard]] bool cancel_requested() const noexcept { return requested_; }
  /// Whether what is inside is cancelled, by this scope or one around it.
  [[nodiscard]] bool cancelled() const noexcept { return effective_; }

  /// Calls `f(task)` for each chain of coroutines inside, also in the scopes inside. `f` must change nothing.
  template <class F>
  void for_each_task(F&& f) {
    contexts_.for_each(f);
    scopes_.for_each([&](cancel_scope& inner) { inner.for_each_task(f); });
  }

  /// Moves a running chain into this scope, and back to the one around it.
  void enter(detail::root_context& context) noexcept;
  void leave(detail::root_context& context) noexcept;

 private:
  friend class detail::root_context;
  void take_effect() noexcept;
  void adopt(detail::root_context& context) noexcept;

  cancel_scope* parent_;
  bool shielded_;
  bool requested_ = false;
  bool effective_;
  intrusive_list<cancel_scope> scopes_;
  intrusive_list<detail::root_context> contexts_;
};

} // namespace fourfold
