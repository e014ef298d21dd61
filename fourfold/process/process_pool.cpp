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

const process_call_options& process_pool::default_options() const noexcept {
  return core_->default_options();
}
semaphore* process_pool::room_of_queue() const noexcept { return core_->room(); }

void process_pool::wait_for_room(detail::process_call& call, const wait_limit& limit) {
  semaphore* room = core_->room();
  if (room == nullptr)
    return;
  room->acquire(limit);
  call.holds_room = true;
}

bool process_pool::take_room(detail::process_call& call) {
  semaphore* room = core_->room();
  if (room == nullptr)
    return true;
  return call.holds_room = room->try_acquire();
}

void process_pool::submit_to_core(detail::process_call& call) { core_->submit(call); }
void process_pool::shutdown(const wait_limit& limit) {
  core_->shutdown(detail::process_pool_core::ending::finish, limit);
}
void process_pool::stop() { core_->shutdown(detail::process_pool_core::ending::kill); }
unsigned process_pool::size() const noexcept { return core_->size(); }
std::vector<pid_t> process_pool::worker_pids() const { return core_->worker_pids(); }
process_pool_statistics process_pool::statistics() const { return core_->statistics(); }
std::vector<process_worker_statistics> process_pool::worker_statistics() const {
  return core_->worker_statistics();
}

} // namespace fourfold
