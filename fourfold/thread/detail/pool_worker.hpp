#pragma once

#include <fourfold/base/waiter.hpp>
#include <fourfold/thread/detail/fork_scope.hpp>
#include <fourfold/thread/detail/idle_workers.hpp>
#include <fourfold/thread/detail/pool_job.hpp>
#include <fourfold/thread/detail/thread_cpu_time.hpp>
#include <fourfold/thread/detail/work_stealing_deque.hpp>

#include <atomic>
#include <cstdint>
#include <thread>

namespace fourfold::detail {

class pool_core;

/// One thread of a pool and the calls in its hands. Private members belong to the thread; others only steal.
class pool_worker final : public blocking_observer, public sleeper {
 public:
  pool_worker(pool_core& core, unsigned index) noexcept(false) : core_(core), index_(index) {}

  /// The worker that this thread is, or null.
  [[nodiscard]] static pool_worker* current() noexcept { return current_; }
  [[nodiscard]] bool belongs_to(const pool_core* core) const noexcept { return &core_ == core; }
  [[nodiscard]] unsigned index() const noexcept { return index_; }

  /// The thread's whole life; it begins as a searcher.
  void work() noexcept;

  /// On this worker's thread: a job submits a call. Throws std::bad_alloc, having done nothing.
  void submit(pool_job& job);
  /// On this worker's thread: a call is accepted that goes elsewhere.
  void count_submitted() noexcept {
    counters_.submitted.store(counters_.submitted.load(std::memory_order_relaxed) + 1,
                              std::memory_order_relaxed);
  }
  /// On this worker's thread: runs the call now, on top of the job that waits for it, unless somebody else
  /// has it, the pool is being stopped, or the stack is half full.
  void run_here(pool_job& job) noexcept;

  /// On this worker's thread: what lay in a queue.
  void execute(pool_job& job) noexcept;

  void about_to_block() noexcept override;
  void unblocked() noexcept override;

  /// On this worker's thread: offers a part to the others; false if there is no memory for it.
  [[nodiscard]] bool push_fork(fork_frame& part) noexcept;
  /// The latest part that nobody has taken, or null.
  [[nodiscard]] fork_frame* pop_fork() noexcept { return forks_.pop(); }
  [[nodiscard]] bool offers_no_fork() const noexcept { return forks_.empty(); }

  /// Any thread: takes the oldest call that lies here, or null.
  [[nodiscard]] pool_job* steal_job() noexcept {
    pool_job* job = injected_.steal();
    return job != nullptr ? job : spawned_.steal();
  }
  [[nodiscard]] fork_frame* steal_fork() noexcept { return forks_.steal(); }
  template <class F>
  [[nodiscard]] fork_frame* steal_fork_if(F allowed) noexcept {
    return forks_.steal_if(std::move(allowed));
  }
  [[nodiscard]] bool has_work() const noexcept {
    return !injected_.empty() || !spawned_.empty() || !forks_.empty();
  }

  /// For a worker without a thread, as which a thread from outside takes part: `observer` is that thread's own.
  void observed_by(blocking_observer* observer) noexcept { outer_observer_ = observer; }
  [[nodiscard]] blocking_observer* outer_observer() const noexcept { return outer_observer_; }

  struct counters {
    std::atomic<std::uint64_t> submitted{0};
    std::atomic<std::uint64_t> finished{0};
    std::atomic<std::uint64_t> stolen{0};
  };
  [[nodiscard]] const counters& counted() const noexcept { return counters_; }
  [[nodiscard]] clock::duration cpu_time() const noexcept { return cpu_time_.used(); }

  // Guarded by pool_core's mutex: the thread, and whether this worker has none and may be given one.
  std::thread thread;
  bool vacant = false;

 private:
  enum class standing : std::uint8_t { running, searching, asleep };

  /// Waits for something to do; null: the thread is to end.
  pool_task* find_task(standing now) noexcept;
  pool_task* next_task() noexcept;
  pool_task* next_ordinary_task() noexcept;
  pool_job* take_injected() noexcept;
  pool_task* steal_from_others() noexcept;
  pool_task* search() noexcept;
  order sleep() noexcept;
  void run_claimed(pool_job& job) noexcept;
  /// Drops the entry of a call that was claimed, if it is the newest: a job that submits calls and waits for each would
  /// leave one for each.
  void forget_newest(pool_job& job) noexcept;
  /// False: the thread must not run calls.
  [[nodiscard]] bool set_up_thread() noexcept;

  static constinit inline thread_local pool_worker* current_ = nullptr;

  pool_core& core_;
  unsigned index_;
  unsigned tick_ = 0;
  unsigned victim_ = 0;
  // This thread sleeps no more and is to give its place up.
  bool retired_ = false;
  // Waits nest: a blocking_scope of the user around one of our waits blocks once.
  unsigned blocked_depth_ = 0;
  // Nested calls are run on this stack only above this address.
  std::uintptr_t stack_half_ = 0;
  // Calls from outside, consumed oldest first; calls that jobs submitted, newest first.
  work_stealing_deque<pool_job> injected_;
  work_stealing_deque<pool_job> spawned_;
  // Parts of what runs on this thread, each joined before that goes on; so empty between calls.
  work_stealing_deque<fork_frame> forks_;
  blocking_observer* outer_observer_ = nullptr;
  thread_cpu_time cpu_time_;
  // Written by this thread only.
  alignas(64) counters counters_;
};

} // namespace fourfold::detail
