#pragma once

#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/task.hpp>

#include <deque>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold {
namespace detail {

/// A gathered result; `std::monostate` stands for void.
template <class T>
using gathered = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
gathered<T> take_gathered(kept_child<T>& child) {
  if constexpr (std::is_void_v<T>) {
    child.take();
    return {};
  } else {
    return child.take();
  }
}

} // namespace detail

/// Starts the tasks in the order of the arguments, beside one another, and returns their results in the order
/// of the arguments, as a tuple (void gives a `std::monostate`). If one fails, the others are cancelled and
/// waited for, and its exception is thrown (an `exception_group` if more failed).
///
///   auto [a, b] = co_await gather(fetch("a"), fetch("b"));
///
/// Cancellation-aware: yes, cancels the tasks and waits for them. Threads: the loop's.
template <class... T>
task<std::tuple<detail::gathered<T>...>> gather(task<T>... tasks) {
  detail::child_scope scope;
  std::tuple<detail::kept_child<T>...> children(detail::child_seed<T>{scope, std::move(tasks)}...);
  // Not by their constructors: libstdc++ constructs a tuple from the back.
  std::apply([](auto&... child) { (child.start(), ...); }, children);
  co_await scope.join();
  scope.leave_and_rethrow();
  co_return std::apply(
      [](auto&... child) { return std::tuple<detail::gathered<T>...>{detail::take_gathered(child)...}; },
      children);
}

/// The same for any number of tasks of one type; the results come as a vector (nothing for void).
template <class T>
task<std::conditional_t<std::is_void_v<T>, void, std::vector<detail::gathered<T>>>>
gather(std::vector<task<T>> tasks) {
  detail::child_scope scope;
  std::deque<detail::kept_child<T>> children;
  for (task<T>& t : tasks)
    children.emplace_back(detail::child_seed<T>{scope, std::move(t)});
  for (auto& child : children)
    child.start();
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

} // namespace fourfold
