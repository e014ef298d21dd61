#include <fourfold/base/context_scope.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/thread/detail/pool_core.hpp>
#include <fourfold/thread/detail/pool_worker.hpp>
#include <fourfold/thread/this_thread.hpp>

#include <pthread.h>

#include <new>

namespace fourfold::detail {
namespace {

/// How long a thread without work looks for some before it sleeps. A wake-up of another CPU costs 5 to 50 µs,
/// so looking for about as long at most doubles the cost (Karlin et al. 1991, the ski-rental bound).
constexpr auto search_time = std::chrono::microseconds(20);

/// Every so many calls a thread turns to what has waited longest, so that jobs which submit jobs for ever
/// starve nobody (a number as in Go's scheduler, which has 61).
constexpr unsigned fairness_interval = 64;

} // namespace

void pool_worker::work() noexcept {
  if (!set_up_thread())
    return core_.not_started(*this);
  pool_task* task = find_task(standing::searching);
  while (task != nullptr) {
    task->run_on(*this);
    const bool surplus = core_.idle().fall_asleep_if_surplus(*this);
    task = find_task(surplus ? standing::asleep : standing::running);
  }
  cpu_time_.end();
  // What destructors of thread-local objects do, this thread does as any other: its place may be another's by then.
  current_ = nullptr;
  set_this_thread_blocking_observer(nullptr);
  fork_scope::begin_on(nullptr);
  if (retired_)
    core_.retired(*this);
}

bool pool_worker::set_up_thread() noexcept {
  try {
    set_this_thread_name(core_.thread_name(index_));
  } catch (const std::bad_alloc&) { // NOLINT(bugprone-empty-catch)
    // A thread without a name does its work, too.
  }
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    void* lowest = nullptr;
    std::size_t size = 0;
    pthread_attr_getstack(&attributes, &lowest, &size);
    stack_half_ = reinterpret_cast<std::uintptr_t>(lowest) + size / 2;
    pthread_attr_destroy(&attributes);
  }
  if (!core_.prepare_thread(index_))
    return false;
  current_ = this;
  set_this_thread_blocking_observer(this);
  fork_scope::begin_on(this);
  retired_ = false;
  cpu_time_.begin();
  return true;
}

pool_task* pool_worker::find_task(standing now) noexcept {
  idle_workers& idle = core_.idle();
  if (now == standing::running) {
    if (pool_task* task = next_task())
      return task;
    if (idle.begin_search())
      now = standing::searching;
  }
  for (;;) {
    if (now == standing::searching) {
      if (pool_task* task = search()) {
        if (idle.end_search())
          core_.notify_if_work();
        return task;
      }
    }
    if (now != standing::asleep) {
      idle.fall_asleep(*this, now == standing::searching);
      now = standing::searching;
      if (core_.has_work() && idle.get_up(*this))
        continue;
    }
    core_.end_if_drained();
    if (sleep() == order::end)
      return nullptr;
    now = standing::searching; // as wake_one() counted it
  }
}

pool_task* pool_worker::search() noexcept {
  if (pool_task* task = next_task())
    return task;
  if (!core_.spins())
    return nullptr;
  const auto end = clock::now() + search_time;
  do {
    for (int i = 0; i < 16; ++i) {
      pause();
      if (!core_.injection().empty())
        break;
    }
    if (pool_task* task = next_task())
      return task;
  } while (clock::now() < end);
  return nullptr;
}

sleeper::order pool_worker::sleep() noexcept {
  for (;;) {
    if (sleep_until(core_.idle().may_retire() ? deadline_after(core_.spare_idle_time()) : never))
      return ordered();
    if (core_.idle().retire(*this)) {
      retired_ = true;
      return order::end;
    }
  }
}

pool_task* pool_worker::next_task() noexcept {
  if (pool_job* job = core_.ranked().take(priority::high))
    return job;
  if (pool_task* task = next_ordinary_task())
    return task;
  return core_.ranked().take(priority::low);
}

pool_task* pool_worker::next_ordinary_task() noexcept {
  if (++tick_ % fairness_interval == 0) {
    // What stands with a thread that sleeps or is blocked has nobody else to turn to it. Every second time, so that
    // those two ways take turns.
    if (tick_ % (2 * fairness_interval) == 0) {
      if (pool_task* task = steal_from_others())
        return task;
    }
    if (pool_job* job = injected_.steal())
      return job;
    if (pool_job* job = take_injected())
      return job;
    if (pool_job* job = spawned_.steal())
      return job;
  }
  if (pool_job* job = spawned_.pop())
    return job;
  if (pool_job* job = injected_.steal())
    return job;
  if (pool_job* job = take_injected())
    return job;
  return steal_from_others();
}

pool_job* pool_worker::take_injected() noexcept {
  pool_job* newest = core_.injection().take_all();
  if (newest == nullptr)
    return nullptr;
  std::size_t others = 0;
  pool_job* oldest = newest;
  for (; oldest->next != nullptr; oldest = oldest->next)
    ++others;
  if (others == 0)
    return oldest;
  try {
    injected_.reserve(others);
    std::size_t distance = others;
    for (pool_job* job = newest; job != oldest; job = job->next)
      injected_.place(--distance, job);
    injected_.publish(others);
  } catch (const std::bad_alloc&) {
    // Back to where they came from; one at a time will do. It is open: it closes only when all threads sleep.
    for (pool_job* job = newest; job != oldest;) {
      pool_job* following = job->next;
      core_.injection().push(*job);
      job = following;
    }
  }
  // For a moment they were nowhere to be seen, and a searcher may have gone to sleep.
  core_.notify();
  return oldest;
}

pool_task* pool_worker::steal_from_others() noexcept {
  const unsigned count = core_.worker_count();
  for (unsigned i = 0; i < count; ++i) {
    if (++victim_ >= count)
      victim_ = 0;
    pool_worker& victim = core_.worker(victim_);
    if (&victim == this)
      continue;
    if (fork_frame* part = victim.steal_fork())
      return part;
    if (pool_job* job = victim.steal_job()) {
      counters_.stolen.store(counters_.stolen.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return job;
    }
  }
  return nullptr;
}

void pool_worker::execute(pool_job& job) noexcept {
  if (core_.stopping())
    job.cancel_if_queued();
  if (!job.claim())
    return core_.drop_stale(job);
  run_claimed(job);
  job.drop_reference();
}

void pool_worker::run_claimed(pool_job& job) noexcept {
  const current_cancellation_scope cancellation(job.token());
  const context_scope bound(job.take_bindings());
  job.run(counters_.finished);
}

void pool_worker::submit(pool_job& job) {
  spawned_.reserve(1);
  // Counted before it can run, so that nobody sees more finished than submitted.
  count_submitted();
  spawned_.push(&job);
}

void pool_worker::forget_newest(pool_job& job) noexcept {
  pool_job* newest = spawned_.pop();
  if (newest == &job) {
    job.drop_reference();
  } else if (newest != nullptr) {
    spawned_.push(newest); // there is room for what was there
    core_.notify();        // who looked in that moment may have gone to sleep
  }
}

bool pool_worker::push_fork(fork_frame& part) noexcept {
  try {
    forks_.reserve(1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  forks_.push(&part);
  return true;
}

void pool_worker::run_here(pool_job& job) noexcept {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (core_.stopping()) {
    // It may have been submitted too late to be found by who stops the pool.
    job.cancel_if_queued();
    return;
  }
  if (here <= stack_half_ || !job.claim())
    return;
  forget_newest(job);
  const fork_isolation isolation(*this);
  run_claimed(job);
}

void pool_worker::about_to_block() noexcept {
  if (blocked_depth_++ > 0)
    return;
  if (outer_observer_ != nullptr)
    outer_observer_->about_to_block();
  core_.idle().blocked();
  core_.notify_if_work();
}

void pool_worker::unblocked() noexcept {
  if (--blocked_depth_ > 0)
    return;
  core_.idle().unblocked();
  if (outer_observer_ != nullptr)
    outer_observer_->unblocked();
}

} // namespace fourfold::detail
