#include <fourfold/base/errors.hpp>
#include <fourfold/sync/mutex.hpp>

namespace fourfold {

bool mutex::try_lock_until(clock::time_point deadline) {
  try {
    lock(wait_limit(deadline));
    return true;
  } catch (const timed_out&) {
    return false;
  }
}

void mutex::tell_of_try(bool got_it) const noexcept {
  if (got_it) {
    tell_acquired(lock_request::tried);
  } else {
    tell_wait_observer(&wait_observer::failed_to_acquire, resource());
  }
}

} // namespace fourfold
