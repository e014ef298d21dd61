#include <fourfold/sync/condition.hpp>

namespace fourfold {

condition::wait_operation::wait_operation(condition& c, std::unique_lock<mutex>& lock)
    : condition_(&c), lock_(&lock), mutex_(lock.mutex()) {
  if (!lock.owns_lock())
    throw not_the_owner("condition: a wait needs a lock that holds its mutex");
}

bool condition::wait_operation::park(waiter& w) {
  w.argument = this;
  {
    const std::lock_guard guard(condition_->waiting_.lock);
    condition_->waiting_.waiters.push_back(w);
  }
  try {
    mutex_->unlock();
  } catch (...) {
    withdraw(w); // nobody can have notified it, since nobody had the mutex
    throw;
  }
  lock_->release();
  return true;
}

bool condition::wait_operation::withdraw(waiter& w) noexcept {
  const std::lock_guard guard(condition_->waiting_.lock);
  if (w.is_decided())
    return false;
  w.unlink();
  w.set_decided();
  return true;
}

void condition::wait_operation::lock_again() {
  if (lock_->mutex() == nullptr)
    *lock_ = std::unique_lock(*mutex_);
}

void condition::wait_operation::wake_with_mutex(waiter& w) noexcept {
  if (!mutex_->park(w))
    w.wake();
}

void condition::wait(std::unique_lock<mutex>& lock, const wait_limit& limit) {
  wait_operation operation(*this, lock);
  try {
    wait_blocking(operation, limit);
  } catch (...) {
    operation.lock_again();
    throw;
  }
}

void condition::notify_one() noexcept {
  waiter* notified = nullptr;
  {
    const std::lock_guard guard(waiting_.lock);
    if (waiting_.waiters.empty())
      return;
    notified = &waiting_.waiters.pop_front();
    notified->set_decided();
  }
  operation_of(*notified).wake_with_mutex(*notified);
}

void condition::notify_all() noexcept {
  intrusive_list<waiter> notified;
  {
    const std::lock_guard guard(waiting_.lock);
    waiting_.waiters.for_each([](waiter& w) { w.set_decided(); });
    notified.splice_back(waiting_.waiters);
  }
  while (!notified.empty()) {
    waiter& w = notified.pop_front();
    operation_of(w).wake_with_mutex(w);
  }
}

} // namespace fourfold
