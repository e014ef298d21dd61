#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/place/executor.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace fourfold {

/// Whether `failure` is an `E` (or derived from one), for one of the types; for `retry_policy::when`.
template <class... E>
[[nodiscard]] bool is_one_of(const std::exception_ptr& failure) {
  const auto is = [&failure]<class One>(std::type_identity<One>) {
    try {
      std::rethrow_exception(failure);
    } catch (const One&) {
      return true;
    } catch (...) {
      return false;
    }
  };
  return (is(std::type_identity<E>{}) || ...);
}

/// How often something is tried, and how long one waits in between.
struct retry_policy {
  /// In all, the first one included; 0 is as 1.
  unsigned attempts = 3;
  /// Before the second attempt; each later pause is `growth` times as long as the one before, up to `longest_pause`.
  clock::duration first_pause = std::chrono::milliseconds(100);
  double growth = 2;
  clock::duration longest_pause = std::chrono::seconds(30);
  /// The part of a pause that is left to chance, from 0 (none) to 1 (anything between nothing and the whole), so that
  /// those who failed together do not come back together.
  double jitter = 1;
  /// The numbers of chance follow from it; without one, they differ each time.
  std::optional<std::uint64_t> seed = std::nullopt;
  /// Which failures another attempt may mend: `is_one_of<timed_out, std::system_error>`, or a function of yours. Without
  /// one, all but `cancelled` and `pool_closed`.
  std::function<bool(const std::exception_ptr&)> when = {};

  [[nodiscard]] bool may_mend(const std::exception_ptr& failure) const;
};

/// The pauses of a policy, one after the other.
class retry_pauses {
 public:
  /// Throws std::invalid_argument for a negative pause, a growth below 1, or a jitter outside of 0 to 1.
  explicit retry_pauses(const retry_policy& policy);
  [[nodiscard]] clock::duration next() noexcept;

 private:
  double pause_; // nanoseconds
  double growth_;
  double longest_;
  double jitter_;
  std::uint64_t chance_;
};

namespace detail {

template <class Attempt>
auto retried(retry_policy policy, Attempt attempt)
    -> task<typename unwrapped_task<std::invoke_result_t<Attempt&>>::type> {
  retry_pauses pauses(policy);
  for (unsigned left = policy.attempts;; --left) {
    std::exception_ptr failure;
    try {
      co_return co_await attempt();
    } catch (...) {
      failure = std::current_exception();
    }
    if (left <= 1 || !policy.may_mend(failure))
      std::rethrow_exception(failure);
    co_await sleep(pauses.next());
  }
}

template <class F, class... A>
task<call_result_t<F, A...>> await_call(F& f, A... arguments) {
  co_return co_await f(std::move(arguments)...);
}
template <class E, class F, class... A>
task<call_result_t<F, A...>> await_call_at(E& place, F& f, A... arguments) {
  co_return co_await place.submit(f, std::move(arguments)...);
}

} // namespace detail

/// Calls `f(arguments...)` at `place`, and again, after a pause, while it fails with what another attempt may mend.
/// Gives the result of the first attempt that succeeds, or throws the failure of the last one.
///
///   auto page = co_await retry({.attempts = 5, .when = is_one_of<worker_died>}, processes, parse, text);
///   auto page = run(retry({}, threads, read_page, url));                         // a thread
///
/// Function and arguments are kept, and copied for each attempt. A task as any other: with a time limit around all
/// attempts: `timeout(10s, retry(…))`. Cancellation-aware: yes, in an attempt (whose call is cancelled) and in a
/// pause. Threads: a loop's, whose clock it uses; the place must outlive it. Throws std::invalid_argument for a
/// policy that makes no sense.
template <executor E, class F, class... A>
auto retry(retry_policy policy, E& place, F f, A... arguments) {
  auto attempt = [&place, f = std::move(f), ... arguments = std::move(arguments)]() {
    return detail::await_call_at<E, const F, A...>(place, f, arguments...);
  };
  return detail::retried(std::move(policy), std::move(attempt));
}

/// The same with a coroutine function that runs here, as a part of the task that awaits.
///
///   auto page = co_await retry({.first_pause = 10ms}, fetch, url);
template <class F, class... A>
  requires(!executor<F> && is_coroutine_result_v<std::invoke_result_t<const F&, A...>>)
auto retry(retry_policy policy, F f, A... arguments) {
  auto attempt = [f = std::move(f), ... arguments = std::move(arguments)]() {
    return detail::await_call<const F, A...>(f, arguments...);
  };
  return detail::retried(std::move(policy), std::move(attempt));
}

} // namespace fourfold
