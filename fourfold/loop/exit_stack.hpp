#pragma once

#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/timeout.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

class exit_stack;

namespace detail {

template <class F, class... A>
concept clean_up = std::invocable<F&, A...> && (std::is_void_v<std::invoke_result_t<F&, A...>> ||
                                                std::is_same_v<std::invoke_result_t<F&, A...>, task<>>);

template <class Body>
concept exit_stack_body = requires(Body& body, exit_stack& stack) { body(stack).handle().promise(); };

/// What the task that the body returns computes.
template <exit_stack_body Body>
using body_result_t = typename std::invoke_result_t<Body&, exit_stack&>::value_type;

/// Awaits the end of a task, whose result or exception stays inside of it.
template <class T>
class [[nodiscard]] task_end {
 public:
  explicit task_end(const task<T>& work) : coroutine_(work.handle()) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) const {
    return start_child(coroutine_, coroutine_.promise().when_done, parent);
  }
  void await_resume() const noexcept {}

 private:
  std::coroutine_handle<task_promise<T>> coroutine_;
};

/// Also what a body throws that is no coroutine itself comes out of the task.
template <exit_stack_body Body>
task<body_result_t<Body>> run_body(Body& body, exit_stack& stack) {
  co_return co_await body(stack);
}

} // namespace detail

/// Clean-ups that are to run when a piece of work is left; made by `with_exit_stack`, which says more.
/// Threads: the loop's.
class exit_stack {
 public:
  /// Has `clean_up()` run at the exit: a function, or a coroutine function that returns `task<>`. It is kept
  /// until its coroutine has ended, so it may capture. If push() throws, it will not run.
  template <class F>
    requires detail::clean_up<F>
  void push(F clean_up) {
    if (failures_.capacity() == 0)
      failures_.reserve(4); // so that at the exit the first is not lost for lack of memory
    clean_ups_.emplace_back([clean_up = std::move(clean_up)]() mutable -> std::optional<task<>> {
      if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
        clean_up();
        return std::nullopt;
      } else {
        return clean_up();
      }
    });
  }

  /// Moves `resource` in, where it stays until `clean_up(resource)` has run at the exit, and returns it. If
  /// this throws, `resource` is destroyed and `clean_up` will not run.
  template <class R, class F>
    requires detail::clean_up<F, R&>
  R& push(R resource, F clean_up) {
    auto kept = std::make_unique<R>(std::move(resource));
    R& reference = *kept;
    push([kept = std::move(kept), clean_up = std::move(clean_up)]() mutable { return clean_up(*kept); });
    return reference;
  }

 private:
  template <detail::exit_stack_body Body>
  friend task<detail::body_result_t<Body>> with_exit_stack(Body body);

  exit_stack() = default;

  /// Runs the clean-ups, and those that they push, last in, first out.
  task<> run_all();
  /// Throws `first`, unless it is null, and what run_all() met.
  void rethrow(const std::exception_ptr& first);

  /// Each returns what is left to be awaited. A function needs no memory at the exit.
  std::vector<std::move_only_function<std::optional<task<>>()>> clean_ups_;
  std::vector<std::exception_ptr> failures_;
};

/// Runs `body(stack)`, a coroutine, and then, in reverse order, every clean-up that was pushed, whether the
/// body has succeeded, failed or been cancelled. Returns the body's result.
///
///   auto body = [&](exit_stack& stack) -> task<int> {
///     client made = co_await connect();
///     client& server = stack.push(std::move(made), [](client& c) { return c.say_goodbye(); });
///     stack.push([&] { log("left"); });
///     co_return co_await talk(server);
///   };
///   int answer = co_await with_exit_stack(body);
///
/// The body has ended when clean-ups run, and its locals have gone: what a clean-up needs is kept by the
/// stack (push() with a resource), captured by value, or outside of the body.
///
/// Every clean-up runs, even if others throw. If one exception was thrown, by the body or by a clean-up, it
/// is thrown; if several, an `exception_group` of them, the body's first. (A clean-up that is a coroutine needs
/// memory for its frame when its turn comes; without, its failure is std::bad_alloc.)
///
/// Cancellation-aware: yes, it cancels the body; the clean-ups are shielded, and what is requested meanwhile
/// is delivered at the next wait after them. (A clean-up that may hang needs a `timeout` of its own.)
/// Threads: the loop's.
template <detail::exit_stack_body Body>
task<detail::body_result_t<Body>> with_exit_stack(Body body) {
  exit_stack stack;
  // Made beforehand: a lack of memory for it must not be found out when there is something to clean up.
  task<> exit = shield(stack.run_all());
  auto work = detail::run_body(body, stack);
  co_await detail::task_end(work);
  co_await std::move(exit);
  stack.rethrow(work.handle().promise().exception());
  co_return work.handle().promise().take();
}

} // namespace fourfold
