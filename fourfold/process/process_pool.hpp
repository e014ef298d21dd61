#pragma once

#include <fourfold/base/context_value.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/detail/call_thunk.hpp>
#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/process/process_call_options.hpp>
#include <fourfold/process/sandbox_options.hpp>
#include <fourfold/process/start_method.hpp>
#include <fourfold/process/worker_initialiser.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

struct process_pool_options {
  /// How many worker processes; 0 means cpu_count().
  unsigned workers = 0;
  /// How many coroutine calls run at once in each worker; more wait.
  std::size_t coroutines_per_worker = 1000;
  /// Worker number i shows as "name-i" in ps and top (cut to 15 characters).
  std::string name = "worker";
  /// How long a worker without work, and a thread that waits for a result, look for it before they sleep, at
  /// most. The time adapts to whether looking succeeds, and is 0 where only one CPU may be used.
  unsigned spin_microseconds = 50;
  /// What holds for calls that are submitted without options of their own.
  process_call_options calls = {};
  /// How many calls may wait for a worker; then submit() waits for room.
  std::size_t queue_bound = no_bound;
  /// A worker that has been handed so many calls is recycled: it ends when it has ended them, and a fresh one,
  /// started before, takes its place.
  std::uint64_t max_calls_per_worker = no_bound;
  /// A worker whose process has more bytes of memory resident after a call (looked at every 10 ms, and after
  /// calls of more than 100 µs) is recycled, too.
  std::size_t max_memory_per_worker = no_bound;

  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();
  /// How workers come to be.
  start_method start = start_method::from_template;
  /// What each worker calls before it takes calls: `{load_model, "model.bin"}`.
  worker_initialiser initialiser = {};
  /// Locks the workers down, for input that nobody trusts.
  std::optional<sandbox_options> sandbox = {};
};

/// Counted since the pool was made.
struct process_pool_statistics {
  std::uint64_t submitted = 0;
  // Of those: how they have ended. Once the pool has shut down, the sum of these is `submitted`.
  std::uint64_t finished = 0;        ///< by a result or an exception of the function
  std::uint64_t cancelled = 0;       ///< taken out before they ran, or killed after they had been cancelled
  std::uint64_t timed_out = 0;       ///< killed at a time limit
  std::uint64_t failed_by_death = 0; ///< lost with a worker that died
  std::uint64_t refused = 0;         ///< not begun when the pool was stopped, or gave up

  std::uint64_t retried = 0;          ///< times that a call was run again
  std::uint64_t workers_replaced = 0; ///< after a death
  std::uint64_t workers_recycled = 0;
};

/// What one of a pool's workers has done, and those that it has replaced.
struct process_worker_statistics {
  std::string name;
  pid_t pid = -1;             ///< -1: it is being replaced
  std::uint64_t calls = 0;    ///< ended by a result or an exception
  clock::duration busy{};     ///< the time in functions; coroutines mostly wait, and are not counted
  std::size_t memory = 0;     ///< bytes that its process has resident now; 0 if that cannot be read
  std::uint64_t deaths = 0;   ///< how often it died and was replaced
  std::uint64_t recycled = 0; ///< how often it was recycled
};

/// Runs calls in other processes: a crash there costs one call, and no lock here is shared with it.
///
///   process_pool pool({.workers = 4});
///   future<std::uint64_t> n = pool.submit(count_primes, 100'000);  // a function, or a lambda whose captures
///                                                                  // can be carried
///   future<std::string> page = pool.submit(fetch, url);            // a coroutine function: on the worker's loop
///   n.get();  /  co_await page;
///   pool.submit(&parser::parse, my_parser, text);                  // a member function and a copy of its object
///   pool.submit({.retries = 2, .time_limit = 10s}, parse, text);   // process_call_options
///
/// Arguments, captures and results travel through the codec (base/codec.hpp); what cannot is a compile-time
/// error. A pointer or reference parameter gets a copy of what was passed. An exception arrives as itself if
/// its type is one of the standard library's or of base/errors.hpp, or is registered (register_exception.hpp),
/// and as `remote_error` otherwise.
///
/// A worker that dies (segmentation fault, abort, exit, kill) fails the calls it was *running* with
/// `worker_died`: one function, or all coroutines that were on its loop; those with `retries` run again. What was queued for it runs
/// elsewhere, and another worker takes its place (after more than three workers died with a call queued, that
/// call fails, too). If workers die again and again before they can serve, the pool gives up, and calls get
/// `pool_closed`.
///
/// Workers are forked from the program's template (worker_template.hpp): its own executable, started anew, which
/// has run the static initialisers but not main(); or executed anew themselves (start_method.hpp). So globals that main() sets are not set in workers, threads of the
/// program do no harm, and a binary replaced on disk does not matter. Standard output and error are the
/// program's; standard input is empty. Workers end when the pool does, and with the program, however that
/// ends.
///
/// Ctrl-C reaches the program alone: workers ignore it. Order: calls are handed out by their priority, and equally
/// urgent ones in the order of their submission; a coroutine that finds no room on any worker lets functions pass.
///
/// (1) Cancellation: future.cancel() takes out a call that has not begun, cancels a running coroutine, and tells a
/// running function, whose current_cancellation() it is (callbacks run on a second thread of the worker). True: taken
/// out, or told, and then the call ends as it ends, or is killed after its `kill_after`. (2) Waiters resume where they
/// wait. (3) Threads: any. A
/// pool's thread that waits in get() collects the results itself, so the worker wakes it directly; for
/// coroutines the pool's one service thread does. (4) Destruction finishes what was submitted; when an
/// exception is unwinding the stack, what has not begun gets `pool_closed` and running workers are killed. If
/// submit throws, the function was not and will not be run.
///
/// Bad at: calls of less than some microseconds (batch them: `map`), and large arguments (they are copied, unless
/// they are a shared_vector).
class process_pool {
 public:
  /// Starts the workers, and the template if there is none. Throws std::system_error, also when the kernel lacks
  /// what the sandbox needs, or `error` when the program cannot serve as template.
  explicit process_pool(process_pool_options options = {});
  ~process_pool();
  process_pool(const process_pool&) = delete;
  process_pool& operator=(const process_pool&) = delete;

  /// Calls `f(arguments...)` in a worker; `f` may be a member function, with the object as first argument. With a
  /// full queue it waits for room, as `options.room` says. Throws `pool_closed` after shutdown() or stop(), what
  /// encoding throws, and std::bad_alloc.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, process_call_options>)
  auto submit(F&& f, A&&... arguments) {
    return submit(default_options(), std::forward<F>(f), std::forward<A>(arguments)...);
  }
  template <class F, class... A>
  auto submit(const process_call_options& options, F&& f, A&&... arguments) {
    auto call = make_call(options, std::forward<F>(f), std::forward<A>(arguments)...);
    wait_for_room(*call, options.room);
    return submit_call(std::move(call));
  }

  /// The same if there is room in the queue now, and else nothing: an empty optional.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, process_call_options>)
  auto try_submit(F&& f, A&&... arguments) {
    return try_submit(default_options(), std::forward<F>(f), std::forward<A>(arguments)...);
  }
  template <class F, class... A>
  auto try_submit(const process_call_options& options, F&& f, A&&... arguments) {
    auto call = make_call(options, std::forward<F>(f), std::forward<A>(arguments)...);
    return take_room(*call) ? std::optional(submit_call(std::move(call))) : std::nullopt;
  }

  /// The same for a coroutine: `co_await pool.async_submit(f, 1)` suspends until there is room, and gives the
  /// future. The arguments are encoded at once. A cancelled wait submits nothing.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, process_call_options>)
  auto async_submit(F&& f, A&&... arguments) {
    return async_submit(default_options(), std::forward<F>(f), std::forward<A>(arguments)...);
  }
  template <class F, class... A>
  auto async_submit(const process_call_options& options, F&& f, A&&... arguments) {
    return submit_when_there_is_room(make_call(options, std::forward<F>(f), std::forward<A>(arguments)...));
  }

  /// Finishes everything submitted, then ends the workers. submit throws `pool_closed` from now on. Throws
  /// `timed_out` or `cancelled` if that takes longer than `limit`; the calls go on, and shutdown() or stop() may
  /// follow. The end of the workers themselves is not waited for longer than 2 s; then they are killed.
  void shutdown(const wait_limit& limit = {});
  /// Takes out what has not begun (`pool_closed`), kills the workers, and with them what runs
  /// (`worker_died`).
  void stop();

  [[nodiscard]] unsigned size() const noexcept;
  /// The processes that serve now; a worker that is being replaced is missing, and one that has only just begun may be.
  [[nodiscard]] std::vector<pid_t> worker_pids() const;
  [[nodiscard]] process_pool_statistics statistics() const;
  /// One entry a worker, in the order of their numbers.
  [[nodiscard]] std::vector<process_worker_statistics> worker_statistics() const;

 private:
  template <class R>
  using call_pointer = detail::state_pointer<detail::typed_process_call<R>>;

  template <class F, class... A>
  auto make_call(const process_call_options& options, F&& f, A&&... arguments);
  template <class R>
  future<R> submit_call(call_pointer<R> call) {
    call->add_reference(); // the pool's, dropped when the call has ended, or there if it is refused
    submit_to_core(*call);
    return future<R>(std::move(call));
  }
  template <class R>
  task<future<R>> submit_when_there_is_room(call_pointer<R> call) {
    if (semaphore* room = room_of_queue()) {
      co_await room->async_acquire();
      call->holds_room = true;
    }
    co_return submit_call(std::move(call));
  }

  [[nodiscard]] const process_call_options& default_options() const noexcept;
  /// Null for a queue without a bound.
  [[nodiscard]] semaphore* room_of_queue() const noexcept;
  void wait_for_room(detail::process_call& call, const wait_limit& limit);
  [[nodiscard]] bool take_room(detail::process_call& call);
  void submit_to_core(detail::process_call& call);

  std::shared_ptr<detail::process_pool_core> core_;
  int exceptions_at_construction_;
};

template <class F, class... A>
auto process_pool::make_call(const process_call_options& options, F&& f, A&&... arguments) {
  using function = std::decay_t<F>;
  using carried = detail::carried_arguments_t<function, A...>;
  detail::require_travelling_call<function, A...>();
  using thunk = detail::thunk<function, carried>;
  using result = typename thunk::result;

  static const code_address thunk_address = to_code_address(thunk::address());
  auto call = detail::make_state<detail::typed_process_call<result>>(
      core_, thunk::is_coroutine ? detail::call_kind::coroutine : detail::call_kind::function, options);
  encoder out(call->payload());
  encode_context(out);
  out.write(thunk_address.module, thunk_address.offset);
  detail::encode_callable<function>(out, f);
  out.write(carried(std::forward<A>(arguments)...));
  return call;
}

} // namespace fourfold
