#pragma once

#include <fourfold/base/coroutine_result.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/frame_allocator.hpp>
#include <fourfold/loop/detail/trampoline.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace fourfold {

template <class T = void>
class task;

namespace detail {

template <class T>
class task_promise;

class task_promise_base : public frame_allocated {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  auto final_suspend() const noexcept { return final_awaiter{}; }
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }

  continuation when_done;

  /// The exception it ended with, or null.
  [[nodiscard]] const std::exception_ptr& exception() const noexcept { return exception_; }

 protected:
  void rethrow_if_failed() {
    if (exception_)
      std::rethrow_exception(std::exchange(exception_, nullptr));
  }

 private:
  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      ended.promise().when_done.run();
    }
    void await_resume() const noexcept {}
  };

  std::exception_ptr exception_;
};

} // namespace detail

/// A coroutine that computes a `T` (an object, a reference or void). Calling it runs nothing: it starts when
/// it is awaited, or when it is handed to `run`, `spawn`, a task group or `gather`, and is awaited once.
///
///   task<int> answer() { co_return 42; }
///   task<> use() { int n = co_await answer(); }
///
/// Awaiting is a function call: it never goes through the loop's queue, and a chain of any depth uses a
/// bounded stack. Arguments are kept in the coroutine's frame as they are declared: a reference parameter
/// must outlive the task. A lambda that is a coroutine must outlive its task if it captures anything.
///
/// Cancellation-aware: itself never waits; what it awaits is. Resumes on the loop it runs on. Threads: the
/// loop's. Destroying a task that was never started runs none of its body.
template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~task() {
    if (coroutine_)
      coroutine_.destroy();
  }

  /// False after being moved from.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(coroutine_); }

  [[nodiscard]] auto operator co_await() && {
    if (handle().done())
      throw error("task: awaited twice");
    return awaiter{coroutine_};
  }

  /// For those who write loops: the coroutine, still owned by the task. Throws `error` after being moved
  /// from.
  [[nodiscard]] std::coroutine_handle<promise_type> handle() const {
    if (!coroutine_)
      throw error("task: used after it was moved from");
    return coroutine_;
  }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  struct awaiter {
    std::coroutine_handle<promise_type> child;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> parent) {
      return detail::start_child(child, child.promise().when_done, parent);
    }
    T await_resume() { return child.promise().take(); }
  };

  std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
struct is_coroutine_result<task<T>> : std::true_type {};

namespace detail {

template <class T>
class task_promise final : public task_promise_base {
 public:
  task<T> get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
  }

  template <class U = T> // for co_return {…}
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }

  T take() {
    rethrow_if_failed();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <class T>
class task_promise<T&> final : public task_promise_base {
 public:
  task<T&> get_return_object() noexcept {
    return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
  }
  void return_value(T& value) noexcept { value_ = &value; }
  T& take() {
    rethrow_if_failed();
    return *value_;
  }

 private:
  T* value_ = nullptr;
};

template <>
class task_promise<void> final : public task_promise_base {
 public:
  task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() { rethrow_if_failed(); }
};

inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

template <class R>
struct unwrapped_task {
  using type = R;
};
template <class T>
struct unwrapped_task<task<T>> {
  using type = T;
};

/// What a body computes that is called with the arguments as they are, references among them.
template <class Body, class... A>
using body_call_result_t = typename unwrapped_task<std::invoke_result_t<Body&, A...>>::type;

} // namespace detail

/// The result of calling `f(args...)`: `T` both for a function that returns `T` and for a coroutine function
/// that returns `task<T>`.
template <class F, class... A>
using call_result_t =
    typename detail::unwrapped_task<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>>::type;

} // namespace fourfold
