#pragma once

#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/task.hpp>

#include <exception>
#include <expected>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold {

/// How a task ended: what it returned (`std::monostate` stands for void, a pointer for a reference), or the
/// exception that it threw.
template <class T>
using outcome =
    std::expected<std::conditional_t<std::is_void_v<T>, std::monostate,
                                     std::conditional_t<std::is_reference_v<T>,
                                                        std::add_pointer_t<std::remove_reference_t<T>>, T>>,
                  std::exception_ptr>;

/// A range of tasks, or of other things that can be awaited.
template <class R>
concept awaitable_range =
    std::ranges::input_range<R> && !awaitable<R> && awaitable<std::ranges::range_value_t<R>>;

namespace detail {

/// A gathered result; `std::monostate` stands for void.
template <class T>
using gathered = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T, class Child>
gathered<T> take_gathered(Child& child) {
  if constexpr (std::is_void_v<T>) {
    child.take();
    return {};
  } else {
    return child.take();
  }
}

template <class T, class Child>
outcome<T> take_outcome(Child& child) {
  if (child.failure())
    return std::unexpected(child.failure());
  if constexpr (std::is_void_v<T>) {
    return std::monostate{};
  } else if constexpr (std::is_reference_v<T>) {
    return &child.take();
  } else {
    return outcome<T>(std::in_place, child.take());
  }
}

/// What the elements of a range of awaitables give.
template <class R>
using range_task_result_t = task_result_t<std::ranges::range_value_t<R>>;

template <awaitable_range R>
std::vector<task<range_task_result_t<R>>> tasks_of(R&& range) {
  std::vector<task<range_task_result_t<R>>> tasks;
  if constexpr (std::ranges::sized_range<R>)
    tasks.reserve(static_cast<std::size_t>(std::ranges::size(range)));
  for (auto&& one : range)
    tasks.push_back(as_task(std::move(one)));
  return tasks;
}

template <class... T>
task<std::tuple<gathered<T>...>> gather_tasks(task<T>... tasks) {
  child_scope scope;
  std::tuple<kept_child<T>...> children(
      child_seed<T>{scope, std::move(tasks), child_scope::on_failure::cancel_the_rest}...);
  // Not by their constructors: libstdc++ constructs a tuple from the back.
  std::apply([](auto&... child) { (child.start(), ...); }, children);
  co_await scope.join();
  scope.leave_and_rethrow();
  co_return std::apply([](auto&... child) { return std::tuple<gathered<T>...>{take_gathered<T>(child)...}; },
                       children);
}

template <class T>
task<std::conditional_t<std::is_void_v<T>, void, std::vector<gathered<T>>>>
gather_list(std::vector<task<T>> tasks) {
  static_assert(!std::is_reference_v<T>, "gather cannot put references into a vector: return a pointer");
  child_scope scope;
  child_list<T> children(scope, tasks, child_scope::on_failure::cancel_the_rest);
  co_await scope.join();
  scope.leave_and_rethrow();
  if constexpr (!std::is_void_v<T>) {
    std::vector<T> results;
    results.reserve(children.size());
    for (auto& child : children)
      results.push_back(child.take());
    co_return results;
  }
}

template <class... T>
task<std::tuple<outcome<T>...>> collect_tasks(task<T>... tasks) {
  child_scope scope;
  std::tuple<kept_child<T>...> children(
      child_seed<T>{scope, std::move(tasks), child_scope::on_failure::go_on}...);
  std::apply([](auto&... child) { (child.start(), ...); }, children);
  co_await scope.join();
  scope.leave_and_rethrow();
  co_return std::apply([](auto&... child) { return std::tuple<outcome<T>...>{take_outcome<T>(child)...}; },
                       children);
}

template <class T>
task<std::vector<outcome<T>>> collect_list(std::vector<task<T>> tasks) {
  child_scope scope;
  child_list<T> children(scope, tasks, child_scope::on_failure::go_on);
  co_await scope.join();
  scope.leave_and_rethrow();
  std::vector<outcome<T>> outcomes;
  outcomes.reserve(children.size());
  for (auto& child : children)
    outcomes.push_back(take_outcome<T>(child));
  co_return outcomes;
}

} // namespace detail

/// Starts what it is given in the order of the arguments, beside one another, and returns the results in the
/// order of the arguments, as a tuple (void gives a `std::monostate`). If one fails, the others are cancelled
/// and waited for, and its exception is thrown (an `exception_group` if more failed).
///
///   auto [a, b] = co_await gather(fetch("a"), fetch("b"));
///
/// Takes tasks, futures and anything else that can be awaited. Cancellation-aware: yes, cancels the tasks and
/// waits for them. Threads: the loop's.
template <awaitable... A>
auto gather(A&&... awaited) {
  return detail::gather_tasks(as_task(std::forward<A>(awaited))...);
}
/// The same for the elements of a range, which are moved from; the results come as a vector (nothing for void).
template <awaitable_range R>
auto gather(R&& range) {
  return detail::gather_list(detail::tasks_of(std::forward<R>(range)));
}

/// As gather, but a failure cancels nobody: each one's result or exception is returned, in the order of the
/// arguments. Cancellation from outside cancels them, waits, and throws `cancelled`.
///
///   for (outcome<page>& one : co_await collect_all(std::move(fetches)))
///     one ? show(*one) : report(one.error());
template <awaitable... A>
auto collect_all(A&&... awaited) {
  return detail::collect_tasks(as_task(std::forward<A>(awaited))...);
}
template <awaitable_range R>
auto collect_all(R&& range) {
  return detail::collect_list(detail::tasks_of(std::forward<R>(range)));
}

} // namespace fourfold
