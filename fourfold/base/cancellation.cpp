#include <fourfold/base/cancellation.hpp>

#include <mutex>

namespace fourfold {
namespace {

constinit thread_local cancellation_token current_token;
constinit thread_local char thread_mark = 0;

/// A number no other living thread has.
std::uintptr_t this_thread_number() noexcept { return reinterpret_cast<std::uintptr_t>(&thread_mark); }

} // namespace

bool cancellation_source::request_cancellation() noexcept {
  std::unique_lock guard(lock_);
  // Release: pairs with the acquire in cancellation_requested(). Under the lock, so add() cannot miss it.
  if (requested_.exchange(true, std::memory_order_acq_rel))
    return false;
  running_thread_ = this_thread_number();
  while (!callbacks_.empty()) {
    detail::cancellation_callback_base& callback = callbacks_.pop_front();
    running_ = &callback;
    guard.unlock();
    callback.call_(callback);
    guard.lock();
    running_ = nullptr;
    returned_.fetch_add(1, std::memory_order_relaxed);
    detail::futex_wake_all(returned_);
  }
  return true;
}

bool cancellation_source::add(detail::cancellation_callback_base& callback) noexcept {
  const std::lock_guard guard(lock_);
  if (requested_.load(std::memory_order_relaxed))
    return false;
  callbacks_.push_back(callback);
  return true;
}

void cancellation_source::remove(detail::cancellation_callback_base& callback) noexcept {
  std::unique_lock guard(lock_);
  if (callback.linked()) {
    callback.unlink();
    return;
  }
  // A callback that destroys itself from inside its own call must not wait for itself.
  while (running_ == &callback && running_thread_ != this_thread_number()) {
    const std::uint32_t seen = returned_.load(std::memory_order_relaxed);
    guard.unlock();
    detail::futex_wait(returned_, seen);
    guard.lock();
  }
}

cancellation_token current_cancellation() noexcept { return current_token; }

current_cancellation_scope::current_cancellation_scope(cancellation_token token) noexcept
    : previous_(current_token) {
  current_token = token;
}

current_cancellation_scope::~current_cancellation_scope() { current_token = previous_; }

} // namespace fourfold
