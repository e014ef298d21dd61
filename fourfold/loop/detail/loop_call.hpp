#pragma once

#include <fourfold/base/context_scope.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/future_state.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace fourfold::detail {

/// What a call on a loop needs of the loop, without its type.
class loop_call_host {
 public:
  explicit loop_call_host(scheduler& owner) noexcept : owner_(&owner) {}
  loop_call_host(const loop_call_host&) = delete;
  loop_call_host& operator=(const loop_call_host&) = delete;

 protected:
  ~loop_call_host() = default;

  [[nodiscard]] bool on_loop_thread() const noexcept;
  /// Makes the call's own scope inside the loop's, and counts the call as a live task.
  cancel_scope& open_scope();
  void close_scope(root_context& context) noexcept;
  /// From any thread, at any time, also after the loop has gone: cancels the call if it has not ended.
  template <class Call>
  bool cancel_call(Call& call) noexcept;
  /// The call has ended, and the loop may go.
  void forget_loop() noexcept;
  void throw_if_on_loop_thread() const;

  std::optional<cancel_scope> own_scope_;
  /// Cancelled, perhaps before it started. Relaxed: nothing is handed over with it.
  std::atomic<bool> cancelled_early_{false};

 private:
  bool post_cancellation(std::move_only_function<void()> cancel) noexcept;

  mutable small_lock lock_; // guards owner_ against cancellation from other threads
  scheduler* owner_;
};

template <class Call>
bool loop_call_host::cancel_call(Call& call) noexcept {
  if (call.ready())
    return false;
  if (on_loop_thread()) {
    call.cancel_now();
    return true;
  }
  // At once and not only by the post, which a loop that stands still would run behind the call.
  cancelled_early_.store(true, std::memory_order_relaxed);
  try {
    call.add_reference();
    return post_cancellation([self = state_pointer<Call>(&call)] { self->cancel_now(); });
  } catch (...) {
    return false;
  }
}

/// A call on a loop: the future's state, the context that runs it, and the bound function, in one allocation.
/// For a coroutine function, `bound()` makes the task, on the loop.
template <class T, class Bound>
class loop_call final : public future_state<T>, private loop_call_host, public root_context {
  static constexpr bool is_coroutine = is_coroutine_result_v<std::invoke_result_t<Bound&>>;

 public:
  loop_call(scheduler& owner, Bound bound)
      : loop_call_host(owner), root_context(owner), bound_(std::move(bound)) {}

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

  /// It is a task of somebody's: what it is called, and an error that nobody takes is told of.
  void set_spawned(std::string_view name) {
    name_ = name;
    this->tells_loss_ = true;
  }
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  bool cancel_work() noexcept override {
    tell_wait_observer(&wait_observer::cancels, this->resource());
    return this->cancel_call(*this);
  }

  void run_ready() noexcept override {
    if (work_ || start())
      root_context::run_ready();
  }
  void drop_ready() noexcept override {
    end([]() -> T { throw pool_closed("the loop was destroyed before it ran this call"); });
  }

 private:
  friend class loop_call_host;

  /// True when there is a coroutine to run now.
  bool start() noexcept {
    if (cancelled_early_.load(std::memory_order_relaxed)) {
      end([]() -> T { throw cancelled(); });
      return false;
    }
    const context_scope bound(this->bindings()); // no coroutine runs yet, so it is this thread's for a moment
    if constexpr (is_coroutine) {
      try {
        work_.emplace((*bound_)());
        const auto root = work_->handle();
        begin(open_scope(), root);
        tell_wait_observer(&wait_observer::works_at, this->resource(), this->party());
        return true;
      } catch (...) {
        end([]() -> T { throw; });
        return false;
      }
    } else {
      tell_wait_observer(&wait_observer::works_at, this->resource(), this_thread_party());
      end([this]() -> T { return (*bound_)(); });
      return false;
    }
  }

  void cancel_now() noexcept {
    if (own_scope_) {
      own_scope_->cancel();
    } else {
      cancelled_early_.store(true, std::memory_order_relaxed);
    }
  }

  void finished() noexcept override {
    close_scope(*this);
    if constexpr (is_coroutine) {
      end([this]() -> T { return work_->handle().promise().take(); });
    }
  }

  template <class F>
  void end(F&& outcome) noexcept {
    forget_loop();
    this->set_result_of([&]() -> T {
      const release_at_exit release{*this};
      return outcome();
    });
    this->drop_reference();
  }

  void assist(const wait_limit&) override { this->throw_if_on_loop_thread(); }

  /// The frame and what the call was made with go before anybody learns of its end.
  struct release_at_exit {
    loop_call& call;
    ~release_at_exit() {
      call.work_.reset();
      call.bound_.reset();
    }
  };

  // Until the end: the coroutine may refer to the closure's captures and to the arguments.
  std::optional<Bound> bound_;
  std::optional<task<T>> work_;
  std::string name_;
};

} // namespace fourfold::detail
