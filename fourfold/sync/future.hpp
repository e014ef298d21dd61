#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/sync/future_state.hpp>

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

/// A result that is on its way: what every place to run (loop, thread pool, process pool) gives for a call.
///
///   future<int> f = pool.submit(count, 100);
///   int n = f.get(1s);            // a thread
///   int n = co_await f;           // a coroutine
///
/// Move-only, with one consumer: one wait at a time (a second one throws `error`), and getting the result
/// empties the future. Dropping it abandons the result; the work goes on.
///
/// Cancellation-aware: yes. A cancelled `co_await` also asks the work to stop (cancel()). Resumes: a
/// coroutine on its own loop. Threads: any, one at a time; the result is handed over with all its memory
/// effects.
template <class T>
class future {
 public:
  using value_type = T;

  future() noexcept = default;
  explicit future(detail::state_pointer<detail::future_state<T>> state) noexcept : state_(std::move(state)) {}

  /// False when default-constructed, moved from, or after the result was taken. All below need a valid
  /// future, or throw `error`.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }
  /// Whether a result or an exception is there: then get() and co_await do not wait.
  [[nodiscard]] bool ready() const { return state().poll(); }

  /// Waits until ready. Throws `timed_out` or `cancelled`; the work goes on, and the future stays valid.
  void wait(const wait_limit& limit = {}) { state().wait(limit); }
  /// Waits and takes the result, or throws the exception that the work threw.
  T get(const wait_limit& limit = {}) {
    wait(limit);
    return detail::state_pointer(std::move(state_))->take();
  }

  /// Asks the work to stop: queued work is not run any more and the future has `cancelled`; running work is
  /// told, and may or may not heed it. True when the work was told or taken out, false when it is done or
  /// cannot be reached.
  bool cancel() { return state().cancel_work(); }

  /// Calls `f()` once when ready: now if it is, else on the thread that completes it. `f` must not throw or
  /// block. Counts as the one wait.
  void on_ready(std::move_only_function<void()> f) { state().call_when_ready(std::move(f)); }

  /// For those who write executors: the state, leaving the future empty.
  [[nodiscard]] detail::state_pointer<detail::future_state<T>> release_state() noexcept {
    return std::move(state_);
  }

  /// Awaits that it is ready, and leaves the result. A cancelled wait leaves the work alone, too.
  [[nodiscard]] auto async_wait() {
    return awaitable_operation(detail::future_state_base::wait_operation{state()});
  }
  /// The exception that it holds, or null if it holds a result. Throws `error` if it is not ready. The
  /// exception stays, and counts as seen.
  [[nodiscard]] std::exception_ptr exception() const {
    if (!ready())
      throw error("future: asked for its exception before it was ready");
    return state().exception();
  }

  [[nodiscard]] auto operator co_await() { return detail::future_awaitable<T>(*this, state()); }

 private:
  template <class>
  friend class detail::future_awaitable;

  detail::future_state<T>& state() const {
    if (!state_)
      throw error("future: used after its result was taken, or never connected to any work");
    return *state_;
  }

  detail::state_pointer<detail::future_state<T>> state_;
};

/// The producing end: sets the result once. Destroyed without one, the future gets `broken_promise`.
/// Threads: any, one at a time.
template <class T>
class promise {
 public:
  promise() : state_(detail::make_state<detail::future_state<T>>()) {}
  promise(promise&&) noexcept = default;
  promise& operator=(promise&& other) noexcept {
    promise(std::move(other)).swap(*this);
    return *this;
  }
  ~promise() {
    if (state_ && !set_)
      state_->set_exception(exception_of<broken_promise>());
  }

  /// Once; throws `error` the second time.
  future<T> get_future() {
    if (std::exchange(retrieved_, true))
      throw error("promise: get_future() was called before");
    return future<T>(state_);
  }

  /// Sets the result; throws `error` if there is one. If making the value throws, nothing was set.
  template <class... U>
  void set_value(U&&... value) {
    check_unset();
    try {
      state_->set_value(std::forward<U>(value)...);
    } catch (...) {
      set_ = false;
      throw;
    }
  }
  void set_exception(std::exception_ptr exception) {
    check_unset();
    state_->set_exception(std::move(exception));
  }

  void swap(promise& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(set_, other.set_);
    std::swap(retrieved_, other.retrieved_);
  }

 private:
  void check_unset() {
    if (!state_ || std::exchange(set_, true))
      throw error("promise: the result was set before");
  }

  detail::state_pointer<detail::future_state<T>> state_;
  bool set_ = false;
  bool retrieved_ = false;
};

/// A future that is ready.
template <class T, class... U>
future<T> make_ready_future(U&&... value) {
  promise<T> p;
  p.set_value(std::forward<U>(value)...);
  return p.get_future();
}

} // namespace fourfold
