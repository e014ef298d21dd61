#pragma once

#include <fourfold/sync/event.hpp>
#include <fourfold/sync/semaphore.hpp>
#include <fourfold/thread/detail/idle_workers.hpp>
#include <fourfold/thread/detail/injection_queue.hpp>
#include <fourfold/thread/detail/pool_worker.hpp>
#include <fourfold/thread/detail/ranked_jobs.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fourfold::detail {

/// What the threads of a pool share.
class pool_core {
 public:
  /// Starts the threads; throws std::system_error if not one could be, and what an initialiser threw.
  explicit pool_core(thread_pool_options options);
  pool_core(const pool_core&) = delete;
  pool_core& operator=(const pool_core&) = delete;

  void submit(pool_job& job, priority urgency);
  /// A thread from outside takes part in a computation, as one of those that are to run: the worker that it
  /// is meanwhile, or null if there is no room.
  [[nodiscard]] pool_worker* enter_guest() noexcept;
  void leave_guest(pool_worker& guest) noexcept;
  void shutdown(pending calls, const wait_limit& limit = {});
  [[nodiscard]] unsigned size() const noexcept { return idle_.wanted(); }
  [[nodiscard]] thread_pool_statistics statistics() const noexcept;
  [[nodiscard]] std::vector<pool_thread_statistics> thread_statistics() const;

  [[nodiscard]] bool called_by_own_worker() const noexcept {
    return pool_worker::current() != nullptr && pool_worker::current()->belongs_to(this);
  }

  // Acquire: pairs with the store in shutdown().
  [[nodiscard]] bool closing() const noexcept { return closing_.load(std::memory_order_acquire); }

  // What follows is for the workers.

  [[nodiscard]] idle_workers& idle() noexcept { return idle_; }
  [[nodiscard]] injection_queue& injection() noexcept { return injection_; }
  /// Calls of high and of low priority; the ordinary ones are everywhere else.
  [[nodiscard]] ranked_jobs& ranked() noexcept { return ranked_; }
  [[nodiscard]] bool spins() const noexcept { return spins_; }
  [[nodiscard]] clock::duration spare_idle_time() const noexcept { return options_.spare_idle_time; }
  // Acquire: pairs with the release in shutdown(); a call submitted after it is not mistaken for one before.
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  [[nodiscard]] unsigned worker_count() const noexcept {
    return worker_count_.load(std::memory_order_seq_cst);
  }
  [[nodiscard]] pool_worker& worker(unsigned i) const noexcept {
    return *workers_[i].load(std::memory_order_acquire);
  }
  [[nodiscard]] bool has_work() const noexcept;

  /// After a call was put somewhere: somebody is or will be there for it.
  void notify() noexcept {
    if (idle_.should_wake())
      help();
  }
  /// After fewer are awake than before.
  void notify_if_work() noexcept {
    if (idle_.should_wake() && has_work())
      help();
  }
  /// After falling asleep, or leaving: ends the pool if it is to end and nothing is left; wakes somebody if
  /// something is.
  void end_if_drained() noexcept;
  /// Drops an entry of the queue whose call somebody else has or had.
  void drop_stale(pool_job& job) noexcept;
  [[nodiscard]] std::string thread_name(unsigned index) const;
  /// On a new thread: what the options want done there. False: the thread is of no use.
  [[nodiscard]] bool prepare_thread(unsigned index) noexcept;
  /// The last that a thread of no use does.
  void not_started(pool_worker& worker) noexcept;
  /// The last that a thread does which ends before the pool.
  void retired(pool_worker& worker) noexcept;

 private:
  /// Returns false when the pool has ended.
  [[nodiscard]] bool enqueue(pool_job& job, priority urgency, bool own);
  void help() noexcept;
  /// Ends the pool if it is to end and nothing is left.
  [[nodiscard]] bool try_to_end() noexcept;
  void start_did_fail() noexcept;
  void start_threads();
  void wait_until_prepared(unsigned threads);
  [[nodiscard]] bool start_spare() noexcept;
  [[nodiscard]] bool prepares_threads() const noexcept {
    return !options_.cpus.empty() || options_.initialise != nullptr;
  }
  void start_thread();
  /// A worker that has no thread; needs threads_mutex_. Throws std::bad_alloc and std::system_error.
  [[nodiscard]] pool_worker& vacant_worker();
  void cancel_pending() noexcept;
  void join_all();
  /// A thread that is still to be joined, or none. Allocates nothing: a destructor ends here.
  [[nodiscard]] std::thread take_thread() noexcept;

  const thread_pool_options options_;
  const bool spins_;

  idle_workers idle_;

  // Written by every submit from outside.
  alignas(64) injection_queue injection_;
  std::atomic<std::uint64_t> submitted_{0};
  // Read by every look for a call, written rarely.
  alignas(64) ranked_jobs ranked_;

  alignas(64) std::atomic<bool> closing_{false};
  std::atomic<bool> stopping_{false};
  event ended_;
  std::atomic<std::uint64_t> cancelled_{0};
  std::atomic<std::uint64_t> spares_started_{0};

  // The constructor waits for its threads' initialisers; the first exception of one, guarded by
  // threads_mutex_. `prepared_` tells threads that it does not wait any more.
  semaphore preparations_{0};
  std::exception_ptr first_failure_;
  std::atomic<bool> prepared_{false};

  // Threads may start and end while others look through the workers, so these only come, into an array that
  // never moves.
  const unsigned capacity_;
  std::unique_ptr<std::atomic<pool_worker*>[]> workers_;
  std::atomic<unsigned> worker_count_{0};

  std::mutex threads_mutex_;
  std::vector<std::unique_ptr<pool_worker>> owned_workers_;
  // The thread that retired last. The next one to retire joins it, so at most one that has ended waits to be
  // joined.
  std::thread last_retired_;
  std::mutex join_mutex_;
};

} // namespace fourfold::detail
