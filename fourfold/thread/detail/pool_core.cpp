#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/thread/detail/pool_core.hpp>

#include <algorithm>
#include <exception>
#include <system_error>

namespace fourfold::detail {
namespace {

/// How long nobody must have run before a pool with many spare threads starts another: at least 0.5 ms in
/// all.
constexpr int patience = 10;
constexpr auto patience_step = std::chrono::microseconds(50);

thread_pool_options complete(thread_pool_options options) {
  if (options.threads == 0)
    options.threads = cpu_count();
  return options;
}

} // namespace

pool_core::pool_core(thread_pool_options options)
    : options_(complete(std::move(options))),
      spins_(cpu_count() > 1),
      idle_(options_.threads, options_.max_spare_threads),
      capacity_(options_.threads + options_.max_spare_threads),
      workers_(std::make_unique<std::atomic<pool_worker*>[]>(capacity_)) {
  for (unsigned started = 0; started < options_.threads; ++started) {
    idle_.count_started();
    try {
      start_thread();
    } catch (const std::exception&) {
      idle_.start_failed();
      if (started == 0)
        throw;
      idle_.set_wanted(started);
      break;
    }
  }
}

void pool_core::start_thread() {
  const std::lock_guard guard(threads_mutex_);
  const auto vacant =
      std::find_if(owned_workers_.begin(), owned_workers_.end(), [](auto& worker) { return worker->vacant; });
  if (vacant != owned_workers_.end()) {
    pool_worker& worker = **vacant;
    worker.thread = std::thread([&worker] { worker.work(); });
    worker.vacant = false;
    return;
  }
  const unsigned index = worker_count_.load(std::memory_order_relaxed);
  if (index == capacity_)
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  owned_workers_.reserve(index + 1);
  auto worker = std::make_unique<pool_worker>(*this, index);
  pool_worker& started = *worker;
  // Visible to the others before its thread has work of its own. If the thread does not start, a vacant
  // worker remains.
  workers_[index].store(&started, std::memory_order_release);
  worker_count_.store(index + 1, std::memory_order_seq_cst);
  owned_workers_.push_back(std::move(worker));
  started.vacant = true;
  started.thread = std::thread([&started] { started.work(); });
  started.vacant = false;
}

bool pool_core::start_spare() noexcept {
  try {
    start_thread();
  } catch (const std::exception&) {
    return false;
  }
  spares_started_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void pool_core::help() noexcept {
  using starting = idle_workers::starting;
  using help = idle_workers::help;
  help needed = idle_.wake_one(starting::generously);
  if (needed == help::stuck) {
    // A thread counts as blocked until it runs again, also when what it waited for is there. So threads that
    // pass a mutex around look stuck at every change of hands; those who really are will still be so in a
    // moment.
    for (int i = 0; i < patience; ++i) {
      std::this_thread::sleep_for(patience_step);
      if (!idle_.should_wake() || !has_work())
        return;
    }
    needed = idle_.wake_one(starting::when_stuck);
  }
  if (needed != help::start_thread || start_spare())
    return;
  idle_.start_failed();
  // While the thread that did not start was counted as a searcher, others may have relied on it.
  if (has_work())
    static_cast<void>(idle_.wake_one(starting::never));
}

void pool_core::retired(pool_worker& worker) noexcept {
  std::thread before;
  {
    const std::lock_guard guard(threads_mutex_);
    // shutdown() may have taken the thread already, and then joins it.
    if (!worker.thread.joinable())
      return;
    before = std::exchange(last_retired_, std::move(worker.thread));
    worker.vacant = true;
  }
  if (before.joinable())
    before.join();
}

void pool_core::submit(pool_job& job) {
  const bool own = called_by_own_worker();
  if (own ? stopping() : closing_.load(std::memory_order_acquire))
    throw pool_closed();
  job.take_reference();
  if (own) {
    try {
      pool_worker::current()->submit(job);
    } catch (...) {
      job.drop_reference();
      throw;
    }
  } else {
    // Counted before it can run, so that nobody sees more finished than submitted.
    submitted_.fetch_add(1, std::memory_order_relaxed);
    if (!injection_.push(job)) {
      submitted_.fetch_sub(1, std::memory_order_relaxed);
      job.drop_reference();
      throw pool_closed();
    }
  }
  notify();
}

void submit_job(pool_core& core, pool_job& job) { core.submit(job); }

bool pool_core::has_work() const noexcept {
  if (!injection_.empty())
    return true;
  const unsigned count = worker_count();
  for (unsigned i = 0; i < count; ++i) {
    if (worker(i).has_work())
      return true;
  }
  return false;
}

void pool_core::end_if_drained() noexcept {
  if (!closing_.load(std::memory_order_seq_cst))
    return;
  if (!idle_.end_all_if_asleep([this] { return !has_work() && injection_.close_if_empty(); }))
    return notify_if_work();
  ended_.store(1, std::memory_order_release);
  futex_wake_all(ended_);
}

void pool_core::drop_stale(pool_job& job) noexcept {
  if (job.was_cancelled())
    cancelled_.fetch_add(1, std::memory_order_relaxed);
  job.drop_reference();
}

void pool_core::cancel_pending() noexcept {
  const auto cancel = [this](pool_job& job) {
    job.cancel_if_queued();
    drop_stale(job);
  };
  for (unsigned i = 0; i < worker_count(); ++i) {
    while (pool_job* job = worker(i).steal())
      cancel(*job);
  }
  for (pool_job* job = injection_.take_all(); job != nullptr;) {
    pool_job* following = job->next;
    cancel(*job);
    job = following;
  }
}

void pool_core::shutdown(pending calls) {
  if (called_by_own_worker())
    throw error("thread_pool: a job that shuts its own pool down would wait for itself");
  if (calls == pending::cancel)
    stopping_.store(true, std::memory_order_release);
  // Sequentially consistent: a thread that falls asleep later sees it, and of one that did before
  // end_if_drained() knows.
  closing_.store(true, std::memory_order_seq_cst);
  if (calls == pending::cancel)
    cancel_pending();
  end_if_drained();
  const blocking_scope blocking;
  // Acquire: everything the jobs did.
  while (ended_.load(std::memory_order_acquire) == 0)
    futex_wait(ended_, 0);
  join_all();
}

void pool_core::join_all() {
  const std::lock_guard one_at_a_time(join_mutex_);
  for (std::thread next = take_thread(); next.joinable(); next = take_thread())
    next.join();
}

std::thread pool_core::take_thread() noexcept {
  const std::lock_guard guard(threads_mutex_);
  if (last_retired_.joinable())
    return std::move(last_retired_);
  for (auto& worker : owned_workers_) {
    if (worker->thread.joinable())
      return std::move(worker->thread);
  }
  return {};
}

std::string pool_core::thread_name(unsigned index) const {
  constexpr std::size_t longest = 15;
  const std::string number = "-" + std::to_string(index);
  return options_.name.substr(0, longest - number.size()) + number;
}

thread_pool_statistics pool_core::statistics() const noexcept {
  thread_pool_statistics sum;
  const unsigned count = worker_count();
  for (unsigned i = 0; i < count; ++i) {
    const pool_worker::counters& counted = worker(i).counted();
    sum.finished += counted.finished.load(std::memory_order_relaxed);
    sum.stolen += counted.stolen.load(std::memory_order_relaxed);
    sum.submitted += counted.submitted.load(std::memory_order_relaxed);
  }
  sum.cancelled = cancelled_.load(std::memory_order_relaxed);
  sum.submitted += submitted_.load(std::memory_order_relaxed);
  sum.spare_threads_started = spares_started_.load(std::memory_order_relaxed);
  return sum;
}

} // namespace fourfold::detail
