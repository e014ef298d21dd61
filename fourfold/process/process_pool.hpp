#pragma once

#include <fourfold/loop/task.hpp>
#include <fourfold/process/detail/call_thunk.hpp>
#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/sync/future.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
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
};

/// Counted since the pool was made.
struct process_pool_statistics {
  std::uint64_t submitted = 0;
  std::uint64_t finished = 0;        ///< ended by a result or an exception of the function
  std::uint64_t cancelled = 0;       ///< taken out before they ran
  std::uint64_t failed_by_death = 0; ///< lost with a worker that died
  std::uint64_t workers_replaced = 0;
};

/// Runs calls in other processes: a crash there costs one call, and no lock here is shared with it.
///
///   process_pool pool({.workers = 4});
///   future<std::uint64_t> n = pool.submit(count_primes, 100'000);  // a function, or a lambda whose captures
///                                                                  // can be carried
///   future<std::string> page = pool.submit(fetch, url);            // a coroutine function: on the worker's loop
///   n.get();  /  co_await page;
///
/// Arguments, captures and results travel through the codec (base/codec.hpp); what cannot is a compile-time
/// error. A pointer or reference parameter gets a copy of what was passed. An exception arrives as itself if
/// its type is one of <stdexcept>'s, std::exception, std::bad_alloc, std::system_error, or a plain one of
/// base/errors.hpp, and as `remote_error` otherwise.
///
/// A worker that dies (segmentation fault, abort, exit, kill) fails the calls it was *running* with
/// `worker_died`: one function, or all coroutines that were on its loop. What was queued for it runs
/// elsewhere, and another worker takes its place (after more than three workers died with a call queued, that
/// call fails, too). If workers die again and again before they can serve, the pool gives up, and calls get
/// `pool_closed`.
///
/// Workers are forked from a template: the program's own executable, started anew by the pool, which has run
/// the static initialisers but not main(). So globals that main() sets are not set in workers, threads of the
/// program do no harm, and a binary replaced on disk does not matter. Standard output and error are the
/// program's; standard input is empty. Workers end when the pool does, and with the program, however that
/// ends.
///
/// Ctrl-C reaches the program alone: workers ignore it. Order: calls are handed out in the order of their
/// submission.
///
/// (1) Cancellation: future.cancel() takes out a call that has not begun (one with more than 64 KiB of
/// arguments only while no worker has been given it) and tells a running coroutine; a
/// running function is not interrupted (false). (2) Waiters resume where they wait. (3) Threads: any. A
/// pool's thread that waits in get() collects the results itself, so the worker wakes it directly; for
/// coroutines the pool's one service thread does. (4) Destruction finishes what was submitted; when an
/// exception is unwinding the stack, what has not begun gets `pool_closed` and running workers are killed. If
/// submit throws, the function was not and will not be run.
///
/// Bad at: calls of less than some microseconds (batch them: `map`), and large arguments (they are copied).
class process_pool {
 public:
  /// Starts the template and the workers. Throws std::system_error, or `error` when the program cannot serve
  /// as template.
  explicit process_pool(process_pool_options options = {});
  ~process_pool();
  process_pool(const process_pool&) = delete;
  process_pool& operator=(const process_pool&) = delete;

  /// Calls `f(arguments...)` in a worker. Throws `pool_closed` after shutdown() or stop(), what encoding
  /// throws, and std::bad_alloc.
  template <class F, class... A>
  auto submit(F&& f, A&&... arguments);

  /// Finishes everything submitted, then ends the workers. submit throws `pool_closed` from now on.
  void shutdown();
  /// Takes out what has not begun (`pool_closed`), kills the workers, and with them what runs
  /// (`worker_died`).
  void stop();

  [[nodiscard]] unsigned size() const noexcept;
  /// The processes that serve now; a worker that is being replaced is missing.
  [[nodiscard]] std::vector<pid_t> worker_pids() const;
  [[nodiscard]] process_pool_statistics statistics() const;

 private:
  void submit_call(detail::process_call& call);

  std::shared_ptr<detail::process_pool_core> core_;
  int exceptions_at_construction_;
};

template <class F, class... A>
auto process_pool::submit(F&& f, A&&... arguments) {
  using function = std::decay_t<F>;
  using carried = detail::carried_arguments_t<function, A...>;
  static_assert(std::is_constructible_v<carried, A&&...> || sizeof...(A) == 0,
                "process_pool::submit: these arguments do not fit the function's parameters");
  static_assert(
      detail::is_stateless<function> || encodable<function>,
      "process_pool::submit: the function object holds something that cannot travel to another process (a "
      "reference, a pointer, or a type without a codec); capture plain values, or pass them as arguments");
  if constexpr (!detail::is_stateless<function>)
    require_encodable<function>();
  require_encodable<carried>();
  using thunk = detail::thunk<function, carried>;
  using result = typename thunk::result;
  if constexpr (!std::is_void_v<result>)
    require_encodable<result>();

  static const code_address thunk_address = to_code_address(thunk::address());
  auto call = detail::make_state<detail::typed_process_call<result>>(
      core_, thunk::is_coroutine ? detail::call_kind::coroutine : detail::call_kind::function);
  encoder out(call->payload());
  out.write(thunk_address.module, thunk_address.offset);
  detail::encode_callable<function>(out, f);
  out.write(carried(std::forward<A>(arguments)...));
  call->add_reference(); // the pool's, dropped when the call has ended, or here if it is refused
  submit_call(*call);
  return future<result>(std::move(call));
}

} // namespace fourfold
