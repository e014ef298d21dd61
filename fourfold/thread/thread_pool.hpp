#pragma once

#include <fourfold/base/call_options.hpp>
#include <fourfold/base/clock.hpp>
#include <fourfold/base/coroutine_result.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/thread/detail/pool_job.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace detail {
class fork_scope;
}

struct thread_pool_options {
  /// How many threads run jobs at the same time; 0 means as many as `cpus` names, or else cpu_count().
  unsigned threads = 0;
  /// Thread number i is named "name-i"; the name is shortened so that both fit in the kernel's 15 characters.
  std::string name = "pool";
  /// How many threads may exist beyond `threads` to stand in for threads whose jobs are blocked; more than 65536 count as
  /// 65536.
  unsigned max_spare_threads = 1000;
  /// A surplus thread ends after being idle for so long.
  clock::duration spare_idle_time = std::chrono::seconds(5);
  /// Begin with one thread; start another, up to `threads`, when a call finds none idle; those beyond the
  /// first are surplus as soon as they are idle. For calls that block outside of this library, which should
  /// not hold up a pool for computing: give them an elastic pool with many threads.
  bool elastic = false;
  /// Thread number i runs on CPU `cpus[i % cpus.size()]` only; empty: where the scheduler puts it.
  std::vector<unsigned> cpus = {};
  /// Called on each thread, stand-ins included, before its first job. The pool's constructor waits for the
  /// threads that it starts, and throws what the first of them threw, with no thread left. On a thread that
  /// is started later, an exception is told to the lost-error handler and ends that thread, as if the system
  /// had not given it. It must not use the pool.
  std::function<void()> initialise = {};
};

/// Counted since the pool was made. Each figure is exact once the pool has shut down; before that a little
/// behind.
struct thread_pool_statistics {
  std::uint64_t submitted = 0; ///< calls accepted
  std::uint64_t finished = 0;  ///< calls run to their end, by return or by exception
  std::uint64_t cancelled = 0; ///< calls taken out before they began; counted when the pool meets them
  std::uint64_t stolen = 0;    ///< calls that another thread took from the thread that had them
  std::uint64_t spare_threads_started = 0; ///< threads started after the constructor
};

/// One thread of a pool, with those that stood in its place before it; a stand-in may have ended.
struct pool_thread_statistics {
  std::string name;
  std::uint64_t finished = 0; ///< calls run to their end
  std::uint64_t stolen = 0;   ///< calls taken from other threads of the pool
  clock::duration cpu_time{}; ///< spent on calls and on looking for them
};

/// What becomes of the calls that wait in the queue when the pool ends.
enum class pending : std::uint8_t { finish, cancel };

/// Runs calls on a fixed number of threads.
///
///   thread_pool pool({.threads = 4});
///   future<int> sum = pool.submit(add, 1, 2);
///   sum.get();                                     // a thread waits; a coroutine says co_await
///
/// If submit throws, the function was not and will not be run. An exception of the function reaches who takes
/// the future's result. The function and its arguments are copies, moved into the call (a reference:
/// `std::ref`), and destroyed before the future is ready.
///
/// Order: with one thread, calls from outside run in the order of their submission. Calls that a job submits
/// go first, latest first; nothing of one priority waits for ever. Idle threads steal the oldest.
///
/// Priority: a thread that looks for a call takes one of high priority if any waits in the pool, in the order
/// of submission, and one of low priority only if it finds no other.
///
/// Waiting inside a job never deadlocks. A job that waits without a limit for a call of its own pool that has
/// not begun runs exactly that call itself, on its stack. Any other wait for something of this library (or a
/// `blocking_scope`) lets another thread, if need be a new one, take the waiting thread's place, so that as
/// many as asked stay runnable; surplus threads go to sleep after their present job, and end after
/// `spare_idle_time`. Once more than max(8, threads) spares exist, new ones come only when nothing runs any
/// more: jobs that all want one mutex must not become a thread each. At `max_spare_threads`, or when the
/// system gives no more threads, jobs have to wait for running ones.
///
/// (1) Cancellation: future.cancel() takes a queued call out, with its function and arguments destroyed when
/// cancel() returns and `cancelled` as its result; a running call sees it by current_cancellation(). (2) A
/// waiter of the future resumes where it waits: a thread there, a coroutine on its loop. (3) Threads: submit,
/// size and statistics any; shutdown and stop any but the pool's own; the destructor must not run on a thread
/// of the pool (aborts). (4) Destruction is shutdown(), or stop() when an exception is unwinding the stack:
/// no future is left without a result.
///
/// Bad at: jobs that block outside of this library (a plain read(), std::mutex): wrap them in a
/// `blocking_scope`, or the pool does not know; or keep a pool with `elastic` for them. And jobs shorter than about a microsecond: submitting them
/// costs as much as running them.
/// And more blocked jobs than max(8, threads): each further stand-in costs whoever triggers it, submit()
/// included, at least half a millisecond of making sure that nobody runs.
///
/// Stealing: Chase and Lev's deque in the form of Lê et al. 2013. Waking: at most one thread searches on
/// behalf of new work and wakes the next when it finds some, as Go's scheduler does (runtime/proc.go, "Worker
/// thread parking/unparking").
class thread_pool {
 public:
  /// Throws `std::system_error` if not a single thread could be started; if only some, size() tells how many.
  explicit thread_pool(thread_pool_options options = {});
  ~thread_pool();
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  /// Calls `f(arguments...)`, as std::invoke does, on a thread of the pool; gives the `future` of its result. Throws `pool_closed` after
  /// shutdown() or stop() began (but jobs may go on submitting until a shutdown() is done), and
  /// std::bad_alloc.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, call_options>)
  auto submit(F&& f, A&&... arguments) {
    return submit(call_options{}, std::forward<F>(f), std::forward<A>(arguments)...);
  }

  /// The same with options: `pool.submit({.priority = priority::high}, f, x)`.
  template <class F, class... A>
  auto submit(const call_options& options, F&& f, A&&... arguments) {
    using result = detail::job_result_t<F, A...>;
    static_assert(
        !is_coroutine_result_v<result>,
        "thread_pool::submit: this function returns a coroutine, which only a loop can run. Submit it to a "
        "loop or a process_pool, or submit a plain function that runs a loop: [] { return "
        "fourfold::run(f()); }");
    auto job = detail::make_state<detail::call_job<result, std::decay_t<F>, std::decay_t<A>...>>(
        *core_, std::forward<F>(f), std::forward<A>(arguments)...);
    detail::submit_job(*core_, *job, options.priority);
    return future<result>(detail::state_pointer<detail::future_state<result>>(job.release()));
  }

  /// Finishes everything submitted (or cancels what has not begun), then ends the threads. Afterwards, and
  /// from the moment it begins for callers outside of the pool, submit throws `pool_closed`. May be called
  /// again. Throws `error` on a thread of the pool, which would wait for itself, and `timed_out` or `cancelled` if the
  /// calls take longer than `limit`; they go on then, and shutdown() or stop() may follow.
  void shutdown(pending calls = pending::finish, const wait_limit& limit = {});
  /// shutdown(pending::cancel): calls that have not begun get `cancelled`; waits for those that run, without
  /// disturbing them.
  void stop(const wait_limit& limit = {}) { shutdown(pending::cancel, limit); }

  /// How many jobs run at the same time.
  [[nodiscard]] unsigned size() const noexcept;
  [[nodiscard]] thread_pool_statistics statistics() const noexcept;
  /// The same thread by thread, those that have ended included; a few system calls.
  [[nodiscard]] std::vector<pool_thread_statistics> thread_statistics() const;

 private:
  friend class detail::fork_scope;

  std::unique_ptr<detail::pool_core> core_;
  int exceptions_at_construction_;
};

} // namespace fourfold
