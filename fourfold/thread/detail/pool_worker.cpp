#include <fourfold/base/futex.hpp>
#include <fourfold/thread/detail/pool_core.hpp>
#include <fourfold/thread/detail/pool_worker.hpp>

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
  set_up_thread();
  pool_job* job = find_job(standing::searching);
  while (job != nullptr) {
    execute(*job);
    const bool surplus = core_.idle().fall_asleep_if_surplus(*this);
    job = find_job(surplus ? standing::asleep : standing::running);
  }
}

void pool_worker::set_up_thread() noexcept {
  current_ = this;
  set_this_thread_blocking_observer(this);
  try {
    pthread_setname_np(pthread_self(), core_.thread_name(index_).c_str());
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
}

pool_job* pool_worker::find_job(standing now) noexcept {
  idle_workers& idle = core_.idle();
  if (now == standing::running) {
    if (pool_job* job = next_job())
      return job;
    if (idle.begin_search())
      now = standing::searching;
  }
  for (;;) {
    if (now == standing::searching) {
      if (pool_job* job = search()) {
        if (idle.end_search())
          core_.notify_if_work();
        return job;
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

pool_job* pool_worker::search() noexcept {
  if (pool_job* job = next_job())
    return job;
  if (!core_.spins())
    return nullptr;
  const auto end = clock::now() + search_time;
  do {
    for (int i = 0; i < 16; ++i) {
      pause();
      if (!core_.injection().empty())
        break;
    }
    if (pool_job* job = next_job())
      return job;
  } while (clock::now() < end);
  return nullptr;
}

sleeper::order pool_worker::sleep() noexcept {
  for (;;) {
    if (sleep_until(core_.idle().has_spares() ? deadline_after(core_.spare_idle_time()) : never))
      return ordered();
    if (core_.idle().retire(*this)) {
      core_.retired(*this);
      return order::end;
    }
  }
}

pool_job* pool_worker::next_job() noexcept {
  if (++tick_ % fairness_interval == 0) {
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

pool_job* pool_worker::steal_from_others() noexcept {
  const unsigned count = core_.worker_count();
  for (unsigned i = 0; i < count; ++i) {
    if (++victim_ >= count)
      victim_ = 0;
    pool_worker& victim = core_.worker(victim_);
    if (&victim == this)
      continue;
    if (pool_job* job = victim.steal()) {
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
  job.run(counters_.finished);
}

void pool_worker::submit(pool_job& job) {
  spawned_.reserve(1);
  // Counted before it can run, so that nobody sees more finished than submitted.
  counters_.submitted.store(counters_.submitted.load(std::memory_order_relaxed) + 1,
                            std::memory_order_relaxed);
  spawned_.push(&job);
}

void pool_worker::run_here(pool_job& job) noexcept {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (here > stack_half_ && !core_.stopping() && job.claim())
    run_claimed(job);
}

void pool_worker::about_to_block() noexcept {
  if (blocked_depth_++ > 0)
    return;
  core_.idle().blocked();
  core_.notify_if_work();
}

void pool_worker::unblocked() noexcept {
  if (--blocked_depth_ == 0)
    core_.idle().unblocked();
}

} // namespace fourfold::detail
