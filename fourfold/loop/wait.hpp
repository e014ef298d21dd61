#pragma once

#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/future.hpp>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace fourfold {

/// When wait() returns.
enum class return_when : unsigned char {
  all_completed,
  first_completed,
  first_failed, ///< or when all are ready and none has failed
};

namespace detail {

template <class T>
bool enough_are_ready(std::span<future<T>> futures, return_when when) {
  bool all = true;
  for (const future<T>& one : futures) {
    if (!one.ready()) {
      all = false;
    } else if (when == return_when::first_completed ||
               (when == return_when::first_failed && one.exception())) {
      return true;
    }
  }
  return all;
}

template <class T>
task<> await_readiness(future<T>& awaited) {
  co_await awaited.async_wait();
}

template <class T>
task<std::vector<std::size_t>> wait_in(std::span<future<T>> futures, return_when when) {
  if (!enough_are_ready(futures, when)) {
    child_scope scope;
    std::vector<task<>> watchers;
    watchers.reserve(futures.size());
    for (future<T>& one : futures)
      watchers.push_back(await_readiness(one));
    struct stop_when_enough {
      child_scope* watching;
      const future<T>* watched;
      return_when when;
      void operator()(kept_child<void, stop_when_enough>&) const noexcept {
        if (when == return_when::all_completed || !watched->ready())
          return;
        if (when == return_when::first_completed || watched->exception())
          watching->scope().cancel();
      }
    };
    child_list<void, stop_when_enough> children(
        scope, watchers, child_scope::on_failure::cancel_the_rest,
        [&](std::size_t i) { return stop_when_enough{&scope, &futures[i], when}; });
    co_await scope.join();
    scope.leave_and_rethrow();
  }
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (futures[i].ready())
      ready.push_back(i);
  }
  co_return ready;
}

} // namespace detail

/// Waits until enough of the futures are ready, and returns the indices of all that are, in rising order. Takes no
/// result and cancels nothing: the futures stay valid, those that are not ready go on.
///
///   std::vector<future<int>> calls = …;
///   for (std::size_t i : co_await wait(calls, return_when::first_completed))
///     use(calls[i].get());
///
/// The futures, of any place, must be valid and stay where they are until it returns, with nobody else waiting on
/// them; `first_failed` counts as having seen their exceptions. With a time
/// limit: `timeout(1s, wait(calls))`. Cancellation-aware: yes, and leaves the work alone. Threads: the loop's.
template <class T>
task<std::vector<std::size_t>> wait(std::span<future<T>> futures,
                                    return_when when = return_when::all_completed) {
  return detail::wait_in(futures, when);
}
template <class T>
task<std::vector<std::size_t>> wait(std::vector<future<T>>& futures,
                                    return_when when = return_when::all_completed) {
  return detail::wait_in(std::span(futures), when);
}

} // namespace fourfold
