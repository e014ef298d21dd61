#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/detail/inbox.hpp>
#include <fourfold/loop/detail/loop_call.hpp>
#include <fourfold/loop/detail/timer_queue.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/future.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

namespace fourfold {

namespace detail {
class reactor;
}

struct loop_options {
  /// How long run() waits, after its task has ended, for the tasks that are left and that it has cancelled. Then it
  /// says on standard error which ones still wait under a `shield`, and cancels those, too.
  clock::duration patience = std::chrono::seconds(10);
  /// For tests: what is ready runs in a random order that follows from this seed, all of it once before what has
  /// become ready meanwhile, so nothing is starved. Posted functions keep the order among themselves that post()
  /// promises. Any order among tasks is given up: of those that were started or woken together, that sleep until
  /// the same deadline, and that yield, each of which goes on within a turn in which all others do. Without a seed,
  /// the environment variable FOURFOLD_SHUFFLE gives it, if it is set to a number.
  std::optional<std::uint64_t> shuffle_seed = std::nullopt;
};

/// An event loop: runs coroutines, timers and I/O on the one thread that calls run(). Nothing inside is
/// locked.
///
///   loop l;  l.run(first());  l.run(second());             // a loop that is used more than once (else: run.hpp)
///   l.submit(handle, request);                            // from another thread: a call here, as a future
///
/// When run()'s task ends, tasks still running that were spawned meanwhile are cancelled and waited for. Those
/// that do not end because they shield themselves are told of and cancelled all the same after
/// `loop_options::patience`, so run() returns unless a task refuses every cancellation for ever.
///
/// Threads: run() and everything awaited inside belong to one thread at a time; post(), submit() and wake-ups
/// come from any. Destroying a loop that runs is misuse. Calls submitted to a loop that is destroyed before
/// it runs them get `pool_closed`. Bad at: long computations between two awaits, which delay everything else
/// on the loop; submit those to a pool.
class loop final : public scheduler {
 public:
  /// Throws std::system_error when the kernel gives no descriptor.
  explicit loop(loop_options options = {});
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Runs `main`, and everything it starts, to the end on this thread. Throws what it throws; `wrong_thread`
  /// if a loop runs on this thread already.
  template <class T>
  T run(task<T> main);

  /// The loop that runs on this thread; throws `wrong_thread` if none does.
  [[nodiscard]] static loop& current();
  /// The same, or null.
  [[nodiscard]] static loop* current_or_null() noexcept;

  /// Runs `f()` on the loop, soon, in the order of posting. `f` must not throw. Any thread.
  void post(std::move_only_function<void()> f);

  /// Calls `f(args...)` on the loop: a function, or a coroutine function, which is then run there. Arguments
  /// are moved in. Any thread, the loop's own included.
  template <class F, class... A>
  future<call_result_t<F, A...>> submit(F f, A... args);

  void resume_soon(coroutine_context& context) noexcept override { give(context); }

  // What awaitables are made of. The loop's thread only.
  /// What spawn() does.
  template <class T>
  future<T> start_task(task<T> work, std::string_view name);
  [[nodiscard]] detail::timer_queue& timers() noexcept { return timers_; }
  /// Shared, so that a descriptor may outlive its loop.
  [[nodiscard]] const std::shared_ptr<detail::reactor>& reactor() const noexcept { return reactor_; }
  /// The scope that everything inside the present run() is in.
  [[nodiscard]] cancel_scope& running_scope() noexcept { return *scope_; }
  /// Queues `item` at the end.
  void enqueue(ready_item& item) noexcept {
    item.next_ready = nullptr;
    *last_ready_ = &item;
    last_ready_ = &item.next_ready;
  }
  void task_started() noexcept { ++live_tasks_; }
  void task_ended() noexcept { --live_tasks_; }

 private:
  /// Marks the loop as the one that runs on this thread.
  class run_scope {
   public:
    explicit run_scope(loop& l);
    ~run_scope();
    run_scope(const run_scope&) = delete;
    run_scope& operator=(const run_scope&) = delete;

   private:
    loop& loop_;
    cancel_scope scope_{nullptr};
  };

  void run_until_ready(const detail::future_state_base& result);
  void end_remaining_tasks();
  /// Runs what is ready, and sleeps when nothing is, unless `until` (if not null) has become ready.
  void turn(const detail::future_state_base* until);
  void run_ready_batch() noexcept;
  /// Puts what is ready into a random order, and returns how many that is.
  std::size_t shuffle_ready() noexcept;
  void report_remaining_tasks() noexcept;
  void collect_inbox() noexcept;
  void sleep_until_next(const detail::future_state_base* until);
  void give(ready_item& item) noexcept;

  loop_options options_;
  std::minstd_rand shuffle_;

  // The ready queue, first in first out.
  ready_item* first_ready_ = nullptr;
  ready_item** last_ready_ = &first_ready_;
  detail::timer_queue timers_;
  std::shared_ptr<detail::reactor> reactor_;
  cancel_scope* scope_ = nullptr;
  std::size_t live_tasks_ = 0;
  clock::time_point last_poll_;
  /// How many producers have been told to ring the reactor's bell.
  std::uint64_t bells_announced_ = 0;

  // Written by other threads: on a cache line of its own.
  alignas(64) detail::inbox inbox_;
};

/// Starts `work` on this thread's loop, beside its caller, and returns its result as a future. The loop's
/// run() does not end before it: a task still running then is cancelled. If the future is dropped and the work
/// fails, the error goes to the lost_error_handler; prefer a task group for work whose failure matters. Takes a task, a
/// future or anything else that can be awaited; `name` is for this_task_name() and reports. Throws
/// `wrong_thread` where no loop runs.
template <awaitable A>
future<detail::task_result_t<A>> spawn(A&& work, std::string_view name = {}) {
  return loop::current().start_task(as_task(std::forward<A>(work)), name);
}

/// What the running task was called when it was spawned; empty outside of a task, or if it was not given a name.
[[nodiscard]] std::string_view this_task_name() noexcept;

template <class T>
future<T> loop::start_task(task<T> work, std::string_view name) {
  auto bound = [work = std::move(work)]() mutable { return std::move(work); };
  auto call = detail::make_state<detail::loop_call<T, decltype(bound)>>(*this, std::move(bound));
  call->set_spawned(name);
  call->add_reference(); // the loop's own, dropped when the call has ended
  give(*call);
  return future<T>(std::move(call));
}

template <class F, class... A>
future<call_result_t<F, A...>> loop::submit(F f, A... args) {
  using result = call_result_t<F, A...>;
  auto bound = [f = std::move(f), ... args = std::move(args)]() mutable -> decltype(auto) {
    return std::invoke(std::move(f), std::move(args)...);
  };
  auto call = detail::make_state<detail::loop_call<result, decltype(bound)>>(*this, std::move(bound));
  call->add_reference(); // the loop's own, dropped when the call has ended
  give(*call);
  return future<result>(std::move(call));
}

template <class T>
T loop::run(task<T> main) {
  const run_scope running(*this);
  future<T> result = spawn(std::move(main));
  auto state = result.release_state();
  run_until_ready(*state);
  end_remaining_tasks();
  return state->take();
}

} // namespace fourfold
