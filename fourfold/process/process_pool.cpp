#include <fourfold/process/detail/process_pool_core.hpp>
#include <fourfold/process/process_pool.hpp>

#include <exception>

namespace fourfold {

process_pool::process_pool(process_pool_options options)
    : core_(std::make_shared<detail::process_pool_core>(std::move(options))),
      exceptions_at_construction_(std::uncaught_exceptions()) {}

process_pool::~process_pool() {
  const bool unwinding = std::uncaught_exceptions() > exceptions_at_construction_;
  core_->shutdown(unwinding ? detail::process_pool_core::ending::kill
                            : detail::process_pool_core::ending::finish);
}

void process_pool::submit_call(detail::process_call& call) { core_->submit(call); }
void process_pool::shutdown() { core_->shutdown(detail::process_pool_core::ending::finish); }
void process_pool::stop() { core_->shutdown(detail::process_pool_core::ending::kill); }
unsigned process_pool::size() const noexcept { return core_->size(); }
std::vector<pid_t> process_pool::worker_pids() const { return core_->worker_pids(); }
process_pool_statistics process_pool::statistics() const { return core_->statistics(); }

} // namespace fourfold
