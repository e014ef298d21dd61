#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/thread/detail/pool_job.hpp>
#include <fourfold/thread/detail/pool_worker.hpp>

namespace fourfold::detail {

void pool_job::run_on(pool_worker& worker) noexcept { worker.execute(*this); }

void pool_job::assist_waiting(const wait_limit& limit, const future_state_base& state) noexcept {
  pool_worker* worker = pool_worker::current();
  // With a limit the call must not run here: it could outlast the limit. It gets a stand-in's thread instead.
  if (worker != nullptr && worker->belongs_to(core_) && limit.deadline == never &&
      !limit.token.can_be_cancelled()) {
    worker->run_here(*this);
  }
  // A short call is often done before a sleep could begin.
  static const bool other_cpus = cpu_count() > 1;
  constexpr int spins = 100;
  for (int i = 0; other_cpus && i < spins && !state.ready(); ++i)
    pause();
}

} // namespace fourfold::detail
