#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/thread/detail/pool_core.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <system_error>

namespace fourfold::detail {
namespace {

/// How long nobody must have run before a pool with many spare threads starts another: at least 0.5 ms in
/// all.
constexpr int patience = 10;
constexpr auto patience_step = std::chrono::microseconds(50);

/// How many threads from outside can take part in fork-join calls at once with the pool's help; more than
/// CPUs to help them there will hardly be.
constexpr unsigned max_guests = 64;

/// More threads of one process no kernel starts; so that a limit which means "none" does not overflow.
constexpr unsigned most_threads = 1U << 16;

thread_pool_options complete(thread_pool_options options) {
  if (options.threads == 0)
    options.threads = options.cpus.empty() ? cpu_count() : static_cast<unsigned>(options.cpus.size());
  options.max_spare_threads = std::min(options.max_spare_threads, most_threads);
  return options;
}

void run_this_thread_on(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE)
    CPU_SET(cpu, &set);
  if (const int refused = pthread_setaffinity_np(pthread_self(), sizeof set, &set))
    throw std::system_error(refused, std::generic_category(),
                            "thread_pool: a thread cannot run on CPU " + std::to_string(cpu));
}

} // namespace

pool_core::pool_core(thread_pool_options options)
    : options_(complete(std::move(options))),
      spins_(cpu_count() > 1 && options_.cpus.size() != 1),
      idle_(options_.threads, options_.elastic ? 1 : options_.threads, options_.max_spare_threads),
      capacity_(options_.threads + options_.max_spare_threads + max_guests),
      workers_(std::make_unique<std::atomic<pool_worker*>[]>(capacity_)) {
  start_threads();
}

void pool_core::start_threads() {
  const unsigned first_ones = options_.elastic ? 1 : options_.threads;
  unsigned started = 0;
  for (; started < first_ones; ++started) {
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
  if (prepares_threads())
    wait_until_prepared(started);
}

void pool_core::wait_until_prepared(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i)
    preparations_.acquire();
  prepared_.store(true, std::memory_order_release);
  if (!first_failure_)
    return;
  shutdown(pending::cancel);
  std::rethrow_exception(first_failure_);
}

bool pool_core::prepare_thread(unsigned index) noexcept {
  if (!prepares_threads())
    return true;
  std::exception_ptr failure;
  try {
    if (!options_.cpus.empty())
      run_this_thread_on(options_.cpus[index % options_.cpus.size()]);
    if (options_.initialise)
      options_.initialise();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!prepared_.load(std::memory_order_acquire)) {
    if (const std::lock_guard guard(threads_mutex_); failure && !first_failure_)
      first_failure_ = failure;
    preparations_.release();
    return true; // the constructor decides
  }
  if (failure)
    tell_lost_error(failure, "the initialiser of a thread pool failed on a thread that was to stand in");
  return !failure;
}

void pool_core::start_thread() {
  const std::lock_guard guard(threads_mutex_);
  pool_worker& worker = vacant_worker();
  worker.thread = std::thread([&worker] { worker.work(); });
  worker.vacant = false;
}

pool_worker* pool_core::enter_guest() noexcept {
  pool_worker* guest = nullptr;
  try {
    const std::lock_guard guard(threads_mutex_);
    guest = &vacant_worker();
    guest->vacant = false;
  } catch (const std::exception&) {
    return nullptr;
  }
  guest->observed_by(this_thread_blocking_observer());
  set_this_thread_blocking_observer(guest);
  idle_.unblocked();
  return guest;
}

void pool_core::leave_guest(pool_worker& guest) noexcept {
  set_this_thread_blocking_observer(guest.outer_observer());
  guest.observed_by(nullptr);
  idle_.blocked();
  {
    const std::lock_guard guard(threads_mutex_);
    guest.vacant = true;
  }
  // Calls may have come while this thread filled the place of one that could have been woken for them.
  notify_if_work();
  // And what it had on offer may have been all that kept the pool from ending.
  end_if_drained();
}

pool_worker& pool_core::vacant_worker() {
  const auto vacant =
      std::find_if(owned_workers_.begin(), owned_workers_.end(), [](auto& worker) { return worker->vacant; });
  if (vacant != owned_workers_.end())
    return **vacant;
  const unsigned index = worker_count_.load(std::memory_order_relaxed);
  if (index == capacity_)
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  owned_workers_.reserve(index + 1);
  auto worker = std::make_unique<pool_worker>(*this, index);
  pool_worker& made = *worker;
  // Visible to the others before its thread has work of its own.
  workers_[index].store(&made, std::memory_order_release);
  worker_count_.store(index + 1, std::memory_order_seq_cst);
  owned_workers_.push_back(std::move(worker));
  made.vacant = true;
  return made;
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
  if (needed == help::start_thread && !start_spare())
    start_did_fail();
}

void pool_core::start_did_fail() noexcept {
  idle_.start_failed();
  // While the thread that did not start was counted as a searcher, others may have relied on it.
  if (has_work())
    static_cast<void>(idle_.wake_one(idle_workers::starting::never));
  // And that it did not sleep may have been all that kept the pool from ending.
  static_cast<void>(try_to_end());
}

void pool_core::not_started(pool_worker& worker) noexcept {
  start_did_fail();
  retired(worker);
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

void pool_core::submit(pool_job& job, priority urgency) {
  const bool own = called_by_own_worker();
  if (own ? stopping() : closing_.load(std::memory_order_acquire))
    throw pool_closed();
  job.take_reference();
  try {
    if (!enqueue(job, urgency, own))
      throw pool_closed();
  } catch (...) {
    job.drop_reference();
    throw;
  }
  notify();
}

bool pool_core::enqueue(pool_job& job, priority urgency, bool own) {
  // Counted before it can run, so that nobody sees more finished than submitted.
  if (own) {
    if (urgency == priority::normal) {
      pool_worker::current()->submit(job);
    } else {
      pool_worker::current()->count_submitted();
      ranked_.push(job, urgency); // open for as long as a thread of the pool runs
    }
    return true;
  }
  submitted_.fetch_add(1, std::memory_order_relaxed);
  if (urgency == priority::normal ? injection_.push(job) : ranked_.push(job, urgency))
    return true;
  submitted_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void submit_job(pool_core& core, pool_job& job, priority urgency) { core.submit(job, urgency); }

bool pool_core::has_work() const noexcept {
  if (!injection_.empty() || !ranked_.empty())
    return true;
  const unsigned count = worker_count();
  for (unsigned i = 0; i < count; ++i) {
    if (worker(i).has_work())
      return true;
  }
  return false;
}

void pool_core::end_if_drained() noexcept {
  if (closing_.load(std::memory_order_seq_cst) && !try_to_end())
    notify_if_work();
}

bool pool_core::try_to_end() noexcept {
  if (!closing_.load(std::memory_order_seq_cst))
    return false;
  // The ranked ones last: until the pool has ended, jobs put their own calls there.
  const auto close = [this] {
    return !has_work() && injection_.close_if_empty() && ranked_.close_if_empty();
  };
  if (!idle_.end_all_if_asleep(close))
    return false;
  ended_.set();
  return true;
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
    while (pool_job* job = worker(i).steal_job())
      cancel(*job);
  }
  for (pool_job* job = injection_.take_all(); job != nullptr;) {
    pool_job* following = job->next;
    cancel(*job);
    job = following;
  }
  for (const priority urgency : {priority::high, priority::low}) {
    while (pool_job* job = ranked_.take(urgency))
      cancel(*job);
  }
}

void pool_core::shutdown(pending calls, const wait_limit& limit) {
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
  ended_.wait(limit);
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

std::vector<pool_thread_statistics> pool_core::thread_statistics() const {
  std::vector<pool_thread_statistics> each;
  const unsigned count = worker_count();
  each.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    const pool_worker::counters& counted = worker(i).counted();
    if (worker(i).cpu_time() == clock::duration::zero())
      continue; // never had a thread: a guest's place
    each.push_back({.name = thread_name(i),
                    .finished = counted.finished.load(std::memory_order_relaxed),
                    .stolen = counted.stolen.load(std::memory_order_relaxed),
                    .cpu_time = worker(i).cpu_time()});
  }
  return each;
}

} // namespace fourfold::detail
