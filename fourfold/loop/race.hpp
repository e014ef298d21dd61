#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task.hpp>

#include <cstddef>
#include <exception>
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

  /// Whom cancellation from outside has cut short does not win.
  void ended(std::size_t index, const std::exception_ptr& failure) noexcept {
    if (winner) {
      if (failure)
        tell_lost_error(failure, "a task failed after it had lost a race");
    } else if (!failure || !scope.scope().cancelled() || !is_cancelled(failure)) {
      winner = index;
      scope.scope().cancel();
    }
  }
  /// After join(): the winner, whose result is not lost to a cancellation that comes while the losers clean
  /// up. Throws `cancelled` if there is none.
  [[nodiscard]] std::size_t winner_or_throw() {
    if (!winner)
      scope.leave_and_rethrow();
    return winner.value();
  }
};

/// An alternative of a race's variant.
template <class T>
using raced = typename outcome<T>::value_type;

/// Tells the judge of the end of one.
struct report_to_judge {
  race_judge* judge;
  std::size_t index;

  template <class Child>
  void operator()(Child& ended) const noexcept {
    judge->ended(index, ended.failure());
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
  } else if constexpr (std::is_reference_v<decltype(child.take())>) {
    won.emplace(std::in_place_index<I>, &child.take());
  } else {
    won.emplace(std::in_place_index<I>, child.take());
  }
}

template <std::size_t... I, class... T>
task<std::variant<raced<T>...>> race_tasks(std::index_sequence<I...>, task<T>... tasks) {
  child_scope scope;
  race_judge judge{scope, {}};
  std::tuple<racing_child<T>...> children(child_seed<T, report_to_judge>{
      scope, std::move(tasks), child_scope::on_failure::go_on, {&judge, I}}...);
  std::apply([](auto&... child) { (child.start(), ...); }, children);
  co_await scope.join();
  const std::size_t winner = judge.winner_or_throw();
  std::optional<std::variant<raced<T>...>> won;
  (take_if_winner<I>(winner, won, children), ...);
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
  const std::size_t winner = judge.winner_or_throw();
  co_return race_result<T>{winner, take_gathered<T>(children[winner])};
}

} // namespace detail

/// Starts what it is given, beside one another, and returns what the first one that ends returns, or throws what
/// that one throws; the others are cancelled and waited for. The index of the variant says who it was (void gives
/// a `std::monostate`, a reference a pointer).
///
///   auto first = co_await race(fetch(mirror_a), fetch(mirror_b));
///
/// Of two that end in the same turn of the loop, the one that ends first has won. Takes tasks, futures and
/// anything else that can be awaited. Cancellation-aware: yes, cancels them and waits; what one of them has returned
/// all the same is returned. Threads: the loop's.
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
