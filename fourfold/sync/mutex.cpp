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

} // namespace fourfold
