#pragma once

#include <fourfold/base/context_bindings.hpp>
#include <fourfold/base/waiter.hpp>

#include <coroutine>
#include <string_view>
#include <type_traits>
#include <utility>

namespace fourfold {

class coroutine_context;
class coroutine_waiter;

/// Something that stands in a loop's queue of what to run next.
class ready_item {
 public:
  /// Runs it once, on the loop's thread; may destroy it.
  virtual void run_ready() noexcept = 0;
  /// The loop ends without having run it.
  virtual void drop_ready() noexcept {}

  ready_item* next_ready = nullptr;

 protected:
  ready_item() noexcept = default;
  ~ready_item() = default;
};

/// A loop as the floors below it see it.
class scheduler {
 public:
  /// Resumes `context` on this scheduler's thread, soon. Any thread; the context is suspended, or is about to
  /// be on the scheduler's own thread.
  virtual void resume_soon(coroutine_context& context) noexcept = 0;

 protected:
  ~scheduler() = default;
};

/// What a chain of coroutines that await one another shares: the loop it runs on, where it is suspended, and
/// whether it is cancelled. At any moment at most one coroutine of the chain, its leaf, is suspended on
/// something outside; so one "where to resume" and one "what it waits for" serve the whole chain, however
/// long.
///
/// Belongs to its loop's thread; only wake-ups come from elsewhere, through the scheduler.
class coroutine_context : public ready_item {
 public:
  /// Inherits what is bound where it is made.
  explicit coroutine_context(scheduler& owner) noexcept
      : scheduler_(&owner), bindings_(shared_bindings().release()) {}
  coroutine_context(const coroutine_context&) = delete;
  coroutine_context& operator=(const coroutine_context&) = delete;

  /// The context running on this thread, or null outside of a loop.
  [[nodiscard]] static coroutine_context* current() noexcept { return current_; }
  /// The same, or `wrong_thread`.
  [[nodiscard]] static coroutine_context& current_or_throw() {
    if (current_ == nullptr)
      throw_no_context();
    return *current_;
  }
  /// Who runs now, as far as holding a lock goes: the chain of coroutines, or the thread where none runs. Only
  /// compared, never followed.
  [[nodiscard]] static const void* current_owner() noexcept {
    if (current_ != nullptr)
      return current_;
    return static_cast<const void*>(&current_); // an address that no other living thread has
  }
  /// For the loop: names the context that it resumes.
  static void set_current(coroutine_context* context) noexcept { current_ = context; }

  /// What the task was called; empty if nothing.
  [[nodiscard]] virtual std::string_view name() const noexcept { return {}; }

  [[nodiscard]] scheduler& owner() const noexcept { return *scheduler_; }

  /// Where what is bound for the running coroutine stands, or else for this thread; it holds a reference.
  [[nodiscard]] static const detail::context_node*& bindings_slot() noexcept {
    return current_ != nullptr ? current_->bindings_ : thread_bindings_;
  }
  /// What is bound for this one.
  [[nodiscard]] context_bindings bindings() const noexcept { return shared(bindings_); }

  /// True when the next suspension point is to throw `cancelled`.
  [[nodiscard]] bool cancellation_due() const noexcept { return cancellation_due_; }
  /// Sets or clears that; setting it interrupts the present wait. Loop thread.
  void set_cancellation_due(bool due) noexcept;

  /// For an awaiter: the chain is suspended at `resume_point` until `w` is woken.
  void suspended(std::coroutine_handle<> resume_point, coroutine_waiter* w) noexcept {
    resume_point_ = resume_point;
    waiting_ = w;
  }
  void resumed() noexcept { waiting_ = nullptr; }
  [[nodiscard]] std::coroutine_handle<> resume_point() const noexcept { return resume_point_; }
  [[nodiscard]] const coroutine_waiter* waiting() const noexcept { return waiting_; }

  /// What is bound for whoever runs on this thread now.
  [[nodiscard]] static context_bindings shared_bindings() noexcept { return shared(bindings_slot()); }
  [[nodiscard]] party_id party() const noexcept { return this; }

 protected:
  ~coroutine_context() { static_cast<void>(context_bindings(bindings_)); }

 private:
  [[noreturn]] static void throw_no_context();
  static context_bindings shared(const detail::context_node* node) noexcept {
    if (node != nullptr)
      node->add_reference();
    return context_bindings(node);
  }
  static constinit inline thread_local coroutine_context* current_ = nullptr;
  // Without a destructor: whoever binds on a thread takes it back there.
  static constinit inline thread_local const detail::context_node* thread_bindings_ = nullptr;

  scheduler* scheduler_;
  const detail::context_node* bindings_;
  std::coroutine_handle<> resume_point_;
  coroutine_waiter* waiting_ = nullptr;
  bool cancellation_due_ = false;
};

/// What is bound here (see `context_value`): what an executor keeps with a call that is submitted here, and
/// installs around it with a `context_scope`.
[[nodiscard]] inline context_bindings current_context() noexcept {
  return coroutine_context::shared_bindings();
}

/// A suspended coroutine; waking it posts its context to its loop.
class coroutine_waiter : public waiter {
 public:
  void wake() noexcept override { context_->owner().resume_soon(*context_); }

  /// Ends the wait early with `cancelled`, unless what it waits for is already on its way. Loop thread.
  virtual void cancel() noexcept = 0;

 protected:
  coroutine_waiter() noexcept = default;
  ~coroutine_waiter() = default;

  /// Notes the running context and answers whether it is cancelled (then the wait must not begin).
  bool enter() {
    context_ = &coroutine_context::current_or_throw();
    if (!context_->cancellation_due())
      return false;
    reason = wake_reason::cancelled;
    return true;
  }
  void suspend(std::coroutine_handle<> resume_point) noexcept { context_->suspended(resume_point, this); }
  /// Throws `cancelled` if the wait ended so.
  void leave() {
    context_->resumed();
    if (reason == wake_reason::cancelled)
      throw_cancelled();
  }
  /// The same for a wait that the observer was told of; or throws `deadlock`.
  void leave_observed() {
    std::exception_ptr refusal;
    if (waits_are_observed()) [[unlikely]]
      refusal = tell_goes_on(context_->party());
    context_->resumed();
    if (reason >= wake_reason::cancelled)
      throw_ended(reason, refusal);
  }
  void end_cancelled() noexcept {
    if (waits_are_observed()) [[unlikely]]
      static_cast<void>(tell_goes_on(context_->party()));
    reason = wake_reason::cancelled;
    wake();
  }
  [[nodiscard]] coroutine_context& context() const noexcept { return *context_; }

 private:
  coroutine_context* context_ = nullptr;
};

/// Awaits an operation of a primitive. The primitive writes each operation once, and a thread
/// (`wait_blocking`) and a coroutine (`co_await awaitable_operation(op)`) wait for it alike. An operation has
///
///   bool try_now();            // does it if that needs no waiting
///   bool park(waiter&);        // parks the waiter: true; or does it now: false; may throw
///   parking_place& place();    // where it was parked
///   R result(wake_reason);     // after it was done, or closed; may throw
///
/// Cancellation-aware: yes. Resumes on the coroutine's own loop. Threads: the loop's.
template <class Operation>
class [[nodiscard]] awaitable_operation : public coroutine_waiter {
 public:
  explicit awaitable_operation(Operation operation) : operation_(std::move(operation)) {}
  /// Only before it is awaited.
  awaitable_operation(awaitable_operation&& other) noexcept(std::is_nothrow_move_constructible_v<Operation>)
      : operation_(std::move(other.operation_)) {}

  bool await_ready() { return enter() || operation_.try_now(); }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    // A wake-up only posts to this thread's loop, so it cannot come before this function returns.
    if (!operation_.park(*this))
      return false;
    suspend(awaiting);
    parking_place& place = operation_.place();
    tell_wait_observer(&wait_observer::waits, context().party(), resource_id(&place),
                       wait_terms{.parked = this, .place = &place});
    return true;
  }
  decltype(auto) await_resume() {
    leave_observed();
    return operation_.result(reason);
  }

  void cancel() noexcept override {
    if (withdraw_from(operation_.place()))
      end_cancelled();
  }

 protected:
  Operation operation_;
};

inline void coroutine_context::set_cancellation_due(bool due) noexcept {
  cancellation_due_ = due;
  if (due && waiting_ != nullptr)
    waiting_->cancel();
}

} // namespace fourfold
