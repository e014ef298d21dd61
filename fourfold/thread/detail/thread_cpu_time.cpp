#include <fourfold/thread/detail/thread_cpu_time.hpp>

#include <pthread.h>

#include <chrono>
#include <mutex>

namespace fourfold::detail {
namespace {

clock::duration read(clockid_t id) noexcept {
  timespec time{};
  if (clock_gettime(id, &time) != 0)
    return {};
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

} // namespace

void thread_cpu_time::begin() noexcept {
  const std::lock_guard guard(lock_);
  running_ = pthread_getcpuclockid(pthread_self(), &clock_) == 0;
}

void thread_cpu_time::end() noexcept {
  const std::lock_guard guard(lock_);
  if (running_)
    before_ += read(clock_);
  running_ = false;
}

clock::duration thread_cpu_time::used() const noexcept {
  const std::lock_guard guard(lock_);
  return running_ ? before_ + read(clock_) : before_;
}

} // namespace fourfold::detail
