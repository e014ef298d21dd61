#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/future.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <utility>

namespace fourfold {
namespace detail {

template <class F>
task<> call_after_sleep(clock::time_point deadline, F f) {
  co_await sleep_until(deadline);
  if constexpr (is_coroutine_result_v<std::invoke_result_t<F>>) {
    co_await std::invoke(std::move(f));
  } else {
    std::invoke(std::move(f));
  }
}

} // namespace detail

/// Calls `f()`, a function or a coroutine function, on this thread's loop at `deadline`; those with the same deadline in the order in which they were
/// planned. cancel() of the future takes it back; dropping the future does not. It is a task: one that is still
/// to come when run() ends is not called, and what `f` throws is in the future. (To call something on a loop
/// now, from any thread: loop::post.) Throws `wrong_thread` where no loop runs.
///
///   future<void> reminder = call_later(5s, [&] { warn(user); });
///   reminder.cancel();
template <std::invocable F>
future<void> call_at(clock::time_point deadline, F f) {
  return spawn(detail::call_after_sleep(deadline, std::move(f)));
}

/// The same, for a duration from now.
template <class Rep, class Period, std::invocable F>
future<void> call_later(std::chrono::duration<Rep, Period> delay, F f) {
  return call_at(deadline_after(delay), std::move(f));
}

} // namespace fourfold
