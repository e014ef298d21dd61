#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold {

/// Who won a race over a range, and with what (`std::monostate` stands for void).
template <class T>
struct race_result {
  std::size_t index;
  detail::gathered<T> value;
};

namespace detail {

/// Which child has ended first; then the others are cancelled.
struct race_judge {
  child_scope& scope;
  std::optional<std::size_t> winner;
};

/// Tells the judge of the end of one.
struct report_to_judge {
  race_judge* judge;
  std::size_t index;

  template <class Child>
  void operator()(Child& ended) const noexcept {
    if (judge->winner) {
      if (ended.failure())
        tell_lost_error(ended.failure(), "a task failed after it had lost a race");
      return;
    }
    judge->winner = index;
    judge->scope.scope().cancel();
  }
};

template <class T>
using racing_child = kept_child<T, report_to_judge>;

/// The `I`th child's result, if it is the one that has won.
template <std::size_t I, class Result, class Children>
void take_if_winner(std::size_t winner, std::optional<Result>& won, Children& children) {
  if (winner != I)
    return;
  auto& child = std::get<I>(children);
  if constexpr (std::is_void_v<decltype(child.take())>) {
    child.take();
    won.emplace(std::in_place_index<I>);
  } else {
    won.emplace(std::in_place_index<I>, child.take());
  }
}

template <std::size_t... I, class... T>
task<std::variant<gathered<T>...>> race_tasks(std::index_sequence<I...>, task<T>... tasks) {
  child_scope scope;
  race_judge judge{scope, {}};
  std::tuple<racing_child<T>...> children(child_seed<T, report_to_judge>{
      scope, std::move(tasks), child_scope::on_failure::go_on, {&judge, I}}...);
  std::apply([](auto&... child) { (child.start(), ...); }, children);
  co_await scope.join();
  scope.leave_and_rethrow();
  std::optional<std::variant<gathered<T>...>> won;
  (take_if_winner<I>(*judge.winner, won, children), ...);
  co_return std::move(*won);
}

template <class T>
task<race_result<T>> race_list(std::vector<task<T>> tasks) {
  if (tasks.empty())
    throw error("race: nobody takes part");
  child_scope scope;
  race_judge judge{scope, {}};
  const auto tell_judge = [&judge](std::size_t index) { return report_to_judge{&judge, index}; };
  child_list<T, report_to_judge> children(scope, tasks, child_scope::on_failure::go_on, tell_judge);
  co_await scope.join();
  scope.leave_and_rethrow();
  co_return race_result<T>{*judge.winner, take_gathered<T>(children[*judge.winner])};
}

} // namespace detail

/// Starts what it is given, beside one another, and returns what the first one that ends returns, or throws what
/// that one throws; the others are cancelled and waited for. The index of the variant says who it was (void gives
/// a `std::monostate`).
///
///   auto first = co_await race(fetch(mirror_a), fetch(mirror_b));
///
/// Of two that end in the same turn of the loop, the one that ends first has won. Takes tasks, futures and
/// anything else that can be awaited. Cancellation-aware: yes, cancels them and waits. Threads: the loop's.
template <awaitable... A>
  requires(sizeof...(A) > 0)
auto race(A&&... awaited) {
  return detail::race_tasks(std::index_sequence_for<A...>{}, as_task(std::forward<A>(awaited))...);
}
/// The same for the elements of a range, which are moved from. Throws `error` for an empty one.
template <awaitable_range R>
auto race(R&& range) {
  return detail::race_list(detail::tasks_of(std::forward<R>(range)));
}

} // namespace fourfold
