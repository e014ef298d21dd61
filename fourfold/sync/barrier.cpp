#include <fourfold/base/errors.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/sync/barrier.hpp>

#include <stdexcept>
#include <utility>

namespace fourfold {

barrier::barrier(std::ptrdiff_t parties, completion on_completion)
    : on_completion_(std::move(on_completion)), parties_(parties), missing_(parties) {
  if (parties < 1)
    throw std::invalid_argument("barrier: needs at least one party");
}

barrier::~barrier() {
  // Who was let through may destroy it while the one that let it through is still on its way out of the lock.
  lock_.lock();
  if (!waiters_.empty())
    misuse("a barrier was destroyed while somebody waits on it");
}

bool barrier::park(waiter& w, std::ptrdiff_t& place_in_round) {
  std::unique_lock guard(lock_);
  require_parties();
  if (--missing_ == 0 && !completing_) {
    place_in_round = complete(std::move(guard));
    return false;
  }
  w.argument = &place_in_round;
  waiters_.push_back(w);
  return true;
}

void barrier::arrive_and_drop() {
  std::unique_lock guard(lock_);
  require_parties();
  --parties_;
  if (--missing_ == 0 && !completing_)
    complete(std::move(guard));
}

bool barrier::withdraw(waiter& w) noexcept {
  const std::lock_guard guard(lock_);
  if (!w.linked())
    return false;
  w.unlink();
  ++missing_;
  return true;
}

void barrier::require_parties() const {
  if (parties_ == 0)
    throw error("barrier: every party has dropped out");
}

std::ptrdiff_t barrier::complete(std::unique_lock<small_lock> guard) noexcept {
  taken_waiters released;
  std::ptrdiff_t first_round = -1;
  completing_ = true;
  do {
    // Taken out before the completion runs: nobody can give up a round that is complete.
    std::ptrdiff_t place = 0;
    for (; place < parties_ && !waiters_.empty(); ++place) {
      waiter& w = waiters_.front();
      *static_cast<std::ptrdiff_t*>(w.argument) = place;
      released.take(w);
    }
    if (first_round < 0)
      first_round = place;
    missing_ += parties_;
    if (on_completion_) {
      guard.unlock();
      on_completion_();
      guard.lock();
    }
  } while (missing_ <= 0 && parties_ > 0);
  if (parties_ == 0)
    released.take_all(waiters_); // the rounds of those were complete before the last party dropped out
  completing_ = false;
  guard.unlock();
  released.wake_all();
  return first_round;
}

std::ptrdiff_t barrier::parties() const noexcept {
  const std::lock_guard guard(lock_);
  return parties_;
}

std::ptrdiff_t barrier::waiting() const noexcept {
  const std::lock_guard guard(lock_);
  return parties_ - missing_;
}

} // namespace fourfold
