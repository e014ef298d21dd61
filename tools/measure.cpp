#include "measure.hpp"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <atomic>
#include <utility>

namespace fourfold::tool {
namespace {

// The meter of the run in progress, for before_workers_end(). There is one measurement at a time in a
// process.
std::atomic<meter*> active{nullptr};

struct self_figures {
  double cpu_seconds;
  std::uint64_t context_switches;
};

self_figures figures_of_self(int who) {
  rusage used{};
  ::getrusage(who, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return {seconds(used.ru_utime) + seconds(used.ru_stime),
          static_cast<std::uint64_t>(used.ru_nvcsw + used.ru_nivcsw)};
}

double seconds_on(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

} // namespace

meter::meter(std::function<void()> every_sample)
    : every_sample_(std::move(every_sample)), sampler_([this] { sampling(); }) {
  ::pthread_getcpuclockid(sampler_.native_handle(), &sampler_clock_);
}

meter::~meter() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  sampler_.join();
}

void meter::exclude(pid_t process) {
  const std::lock_guard lock(mutex_);
  tree_.exclude(process);
}

void meter::sampling() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    if (!running_) {
      changed_.wait(lock, [this] { return running_ || closing_; });
    } else if (!changed_.wait_for(lock, sampling_interval, [this] { return !running_ || closing_; })) {
      tree_.sample();
      sampler_switches_ = figures_of_self(RUSAGE_THREAD).context_switches;
      if (every_sample_)
        every_sample_();
    }
  }
}

run_figures meter::measure(const std::function<std::string()>& model) {
  // What an earlier model freed is given back first, or this one would seem to use it.
  ::malloc_trim(0);
  std::uint64_t sampler_switches_before = 0;
  {
    const std::lock_guard lock(mutex_);
    tree_.begin();
    not_counted_ = {};
    sampler_switches_before = sampler_switches_;
    running_ = true;
  }
  active = this;
  changed_.notify_all();

  const double sampler_before = seconds_on(sampler_clock_);
  const double cpu_before = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
  const std::uint64_t switches_before = figures_of_self(RUSAGE_SELF).context_switches;
  const auto stop = [this] {
    active = nullptr;
    {
      const std::lock_guard lock(mutex_);
      running_ = false;
    }
    changed_.notify_all();
  };

  run_figures figures;
  const auto begin = std::chrono::steady_clock::now();
  try {
    figures.result = model();
  } catch (...) {
    stop();
    throw;
  }
  const auto end = std::chrono::steady_clock::now();
  const double sampler_used = seconds_on(sampler_clock_) - sampler_before;
  const double cpu_used = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
  const std::uint64_t switches = figures_of_self(RUSAGE_SELF).context_switches - switches_before;
  stop();

  const std::lock_guard lock(mutex_);
  tree_.sample();
  const process_figures workers = tree_.used_by_descendants();
  const double not_counted = std::chrono::duration<double>(not_counted_).count();
  figures.wall_seconds = std::chrono::duration<double>(end - begin).count() - not_counted;
  figures.cpu_seconds = std::max(0.0, cpu_used - sampler_used - not_counted) + workers.cpu_seconds;
  const std::uint64_t sampler_switches = sampler_switches_ - sampler_switches_before;
  figures.context_switches = switches - std::min(switches, sampler_switches) + workers.context_switches;
  figures.peak_bytes = tree_.peak_bytes();
  return figures;
}

void meter::before_workers_end() {
  meter* const current = active;
  if (current == nullptr)
    return;
  const auto begin = std::chrono::steady_clock::now();
  const std::lock_guard lock(current->mutex_);
  current->tree_.sample();
  current->not_counted_ += std::chrono::steady_clock::now() - begin;
}

} // namespace fourfold::tool
