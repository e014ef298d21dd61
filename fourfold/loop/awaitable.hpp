#pragma once

#include <fourfold/loop/task.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace fourfold {
namespace detail {

template <class A>
decltype(auto) awaiter_of(A&& awaited) {
  if constexpr (requires { std::forward<A>(awaited).operator co_await(); }) {
    return std::forward<A>(awaited).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaited)); }) {
    return operator co_await(std::forward<A>(awaited));
  } else {
    return std::forward<A>(awaited);
  }
}

template <class A>
concept awaiter = requires(A& a, std::coroutine_handle<> h) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_suspend(h);
  a.await_resume();
};

} // namespace detail

/// What `co_await` takes in a task: a task, a future, an operation of a primitive, anything of yours with an
/// `operator co_await` or the three functions of an awaiter. An awaiter that suspends parks a waiter
/// (`awaitable_operation`), so that it can be cancelled and the task goes on on its loop; one of another library,
/// which would resume the handle itself, is awaited by way of a promise and its future (docs/asio.md).
template <class A>
concept awaitable = detail::awaiter<std::remove_reference_t<decltype(detail::awaiter_of(std::declval<A>()))>>;

/// What awaiting an `A` gives.
template <awaitable A>
using await_result_t = decltype(detail::awaiter_of(std::declval<A>()).await_resume());

namespace detail {

template <class T>
using unqualified_result = std::conditional_t<std::is_rvalue_reference_v<T>, std::remove_cvref_t<T>, T>;

template <class A>
task<unqualified_result<await_result_t<A>>> await_owned(A owned) {
  co_return co_await std::move(owned);
}

template <class A>
task<unqualified_result<await_result_t<A&>>> await_borrowed(A& borrowed) {
  co_return co_await borrowed;
}

} // namespace detail

/// A task that awaits `awaited`: what time limits, groups and `gather` make of what they are given. An rvalue is
/// moved into it; an lvalue must outlive it. A task is passed through as it is.
template <class T>
task<T> as_task(task<T>&& work) noexcept {
  return std::move(work);
}
template <awaitable A>
auto as_task(A&& awaited) {
  if constexpr (std::is_lvalue_reference_v<A>) {
    return detail::await_borrowed(awaited);
  } else {
    return detail::await_owned<A>(std::forward<A>(awaited));
  }
}

namespace detail {
template <class A>
using task_result_t = typename decltype(as_task(std::declval<A>()))::value_type;
} // namespace detail

} // namespace fourfold
