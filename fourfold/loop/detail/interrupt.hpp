#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/unique_fd.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/detail/signal_slot.hpp>
#include <fourfold/loop/task.hpp>

#include <utility>

namespace fourfold::detail {

/// SIGINT, taken for the time of one run() on the main thread. Outlives the loop: when the main task has
/// ended, a wake-up may stand in the loop's queue, and the kernel may still have the operation that waits for
/// the bell.
class interrupt_watch final : private waiter, private ready_item {
 public:
  /// Whether SIGINT is free to be taken: this is the main thread, does not block it, and its disposition is
  /// SIG_DFL.
  [[nodiscard]] static bool possible() noexcept;

  /// Throws std::system_error when the kernel gives no descriptor.
  interrupt_watch();
  /// Gives SIGINT back. One that came too late to cancel anything takes effect now.
  ~interrupt_watch();
  interrupt_watch(const interrupt_watch&) = delete;
  interrupt_watch& operator=(const interrupt_watch&) = delete;

 private:
  friend class interrupt_scope;
  void listen(scheduler& loop, reactor& completes, cancel_scope& cancels);
  void stop_listening(reactor& completes) noexcept;
  void wake() noexcept override;
  void run_ready() noexcept override;

  unique_fd bell_; // the handler's; the reactor has a duplicate, which may be closed while signals come
  signal_slot* slot_;
  io_operation rung_{.kind = io_kind::readable, .descriptor = nullptr};
  scheduler* loop_ = nullptr;
  cancel_scope* cancels_ = nullptr; // while the main task runs
  bool seen_ = false;
};

/// A cancel scope around the running chain that SIGINT cancels.
class interrupt_scope {
 public:
  explicit interrupt_scope(interrupt_watch& watch);
  ~interrupt_scope() { leave(); }
  interrupt_scope(const interrupt_scope&) = delete;
  interrupt_scope& operator=(const interrupt_scope&) = delete;

  /// Leaves the scope; true when SIGINT, and nothing around it, cancelled what was inside.
  bool leave() noexcept;

 private:
  interrupt_watch& watch_;
  root_context& context_;
  cancel_scope scope_;
  bool inside_ = true;
};

/// Throws `interrupted`, and sees to it that the process dies of SIGINT if nobody catches it.
[[noreturn]] void throw_interrupted();

template <class T>
task<T> cancelled_by_interrupt(interrupt_watch& watch, task<T> work) {
  interrupt_scope scope(watch);
  try {
    co_return co_await std::move(work);
  } catch (const cancelled&) {
    if (!scope.leave())
      throw;
  }
  throw_interrupted();
}

} // namespace fourfold::detail
