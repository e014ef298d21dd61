#include <fourfold/sync/recursive_mutex.hpp>

namespace fourfold {

void recursive_mutex::lock(const wait_limit& limit) FOURFOLD_NO_THREAD_SAFETY_ANALYSIS {
  if (!held_by_caller()) {
    mutex_.lock(limit);
  } else if (limit.token.cancellation_requested()) {
    throw cancelled();
  }
  enter();
}

bool recursive_mutex::try_lock_until(clock::time_point deadline) {
  try {
    lock(wait_limit(deadline));
    return true;
  } catch (const timed_out&) {
    return false;
  }
}

void recursive_mutex::unlock() FOURFOLD_NO_THREAD_SAFETY_ANALYSIS {
  if (!held_by_caller())
    throw not_the_owner("recursive_mutex: unlocked by somebody who does not hold it");
  if (--depth_ != 0)
    return;
  owner_.store(nullptr, std::memory_order_relaxed);
  mutex_.unlock();
}

} // namespace fourfold
