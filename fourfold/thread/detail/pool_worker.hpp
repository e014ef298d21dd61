#pragma once

#include <fourfold/base/waiter.hpp>
#include <fourfold/thread/detail/idle_workers.hpp>
#include <fourfold/thread/detail/pool_job.hpp>
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

  /// The thread's whole life; it begins as a searcher.
  void work() noexcept;

  /// On this worker's thread: a job submits a call. Throws std::bad_alloc, having done nothing.
  void submit(pool_job& job);
  /// On this worker's thread: runs the call now, on top of the job that waits for it, unless somebody else
  /// has it, the pool is being stopped, or the stack is half full.
  void run_here(pool_job& job) noexcept;

  void about_to_block() noexcept override;
  void unblocked() noexcept override;

  /// Any thread: takes the oldest call that lies here, or null.
  [[nodiscard]] pool_job* steal() noexcept {
    pool_job* job = injected_.steal();
    return job != nullptr ? job : spawned_.steal();
  }
  [[nodiscard]] bool has_work() const noexcept { return !injected_.empty() || !spawned_.empty(); }

  struct counters {
    std::atomic<std::uint64_t> submitted{0};
    std::atomic<std::uint64_t> finished{0};
    std::atomic<std::uint64_t> stolen{0};
  };
  [[nodiscard]] const counters& counted() const noexcept { return counters_; }

  // Guarded by pool_core's mutex: the thread, and whether this worker has none and may be given one.
  std::thread thread;
  bool vacant = false;

 private:
  enum class standing : std::uint8_t { running, searching, asleep };

  /// Waits for a call; null: the thread is to end.
  pool_job* find_job(standing now) noexcept;
  pool_job* next_job() noexcept;
  pool_job* take_injected() noexcept;
  pool_job* steal_from_others() noexcept;
  pool_job* search() noexcept;
  order sleep() noexcept;
  void execute(pool_job& job) noexcept;
  void run_claimed(pool_job& job) noexcept;
  void set_up_thread() noexcept;

  static constinit inline thread_local pool_worker* current_ = nullptr;

  pool_core& core_;
  unsigned index_;
  unsigned tick_ = 0;
  unsigned victim_ = 0;
  // Waits nest: a blocking_scope of the user around one of our waits blocks once.
  unsigned blocked_depth_ = 0;
  // Nested calls are run on this stack only above this address.
  std::uintptr_t stack_half_ = 0;
  // Calls from outside, consumed oldest first; calls that jobs submitted, newest first.
  work_stealing_deque<pool_job> injected_;
  work_stealing_deque<pool_job> spawned_;
  // Written by this thread only.
  alignas(64) counters counters_;
};

} // namespace fourfold::detail
