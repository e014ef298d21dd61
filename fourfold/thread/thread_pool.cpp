#include <fourfold/base/misuse.hpp>
#include <fourfold/thread/detail/pool_core.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <exception>

namespace fourfold {

thread_pool::thread_pool(thread_pool_options options)
    : core_(std::make_unique<detail::pool_core>(std::move(options))),
      exceptions_at_construction_(std::uncaught_exceptions()) {}

thread_pool::~thread_pool() {
  if (core_->called_by_own_worker())
    misuse("a thread_pool was destroyed by one of its own jobs, which would wait for itself");
  const bool unwinding = std::uncaught_exceptions() > exceptions_at_construction_;
  core_->shutdown(unwinding ? pending::cancel : pending::finish);
}

void thread_pool::shutdown(pending calls, const wait_limit& limit) { core_->shutdown(calls, limit); }
unsigned thread_pool::size() const noexcept { return core_->size(); }
thread_pool_statistics thread_pool::statistics() const noexcept { return core_->statistics(); }
std::vector<pool_thread_statistics> thread_pool::thread_statistics() const {
  return core_->thread_statistics();
}

} // namespace fourfold
