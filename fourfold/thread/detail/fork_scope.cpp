#include <fourfold/base/errors.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/thread/detail/fork_scope.hpp>
#include <fourfold/thread/detail/pool_core.hpp>

#include <chrono>
#include <utility>

namespace fourfold::detail {
namespace {

/// How long a join looks for something to help with before it parks: as long as a thread of the pool looks for
/// work, and for the same reason.
constexpr auto help_time = std::chrono::microseconds(20);

} // namespace

bool fork_frame::done() const noexcept {
  // Acquire: pairs with the release in complete().
  return slot_.load(std::memory_order_acquire) == done_mark();
}

void fork_frame::complete() noexcept {
  // Release: what the part did; acquire: the waiter's own fields. The frame may be gone afterwards.
  waiter* w = slot_.exchange(done_mark(), std::memory_order_acq_rel);
  if (w != nullptr)
    w->wake();
}

bool fork_frame::park(waiter& w) noexcept {
  waiter* expected = nullptr;
  return slot_.compare_exchange_strong(expected, &w, std::memory_order_acq_rel);
}

bool fork_frame::withdraw(waiter& w) noexcept {
  waiter* expected = &w;
  return slot_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel);
}

void fork_frame::run_on(pool_worker& thief) noexcept {
  // Release: pairs with the acquire in wait_for(), for the thief's deque.
  thief_.store(&thief, std::memory_order_release);
  {
    const auto outer = std::exchange(fork_scope::here_, {.worker = &thief, .scope = scope_});
    const current_cancellation_scope cancellation(scope_->token());
    scope_->run_here(*this);
    fork_scope::here_ = outer;
  }
  complete();
}

fork_scope::fork_scope(thread_pool& pool) : fork_scope(pool, nullptr) {}

fork_scope::fork_scope(thread_pool& pool, const wait_limit* limit)
    : core_(*pool.core_),
      outer_(here_),
      root_(outer_.scope != nullptr ? outer_.scope->root_ : this),
      limit_(limit) {
  if (outer_.worker == nullptr || !outer_.worker->belongs_to(&core_))
    become_guest();
  here_.scope = this;
  if (root_ == this)
    token_ = current_cancellation();
  if (limit_ != nullptr && (limit_->deadline != never || limit_->token.can_be_cancelled()))
    root_->attention_.fetch_add(1, std::memory_order_relaxed);
}

fork_scope::~fork_scope() {
  if (limit_ != nullptr && (limit_->deadline != never || limit_->token.can_be_cancelled()))
    root_->attention_.fetch_sub(1, std::memory_order_relaxed);
  if (failed_.load(std::memory_order_relaxed))
    root_->attention_.fetch_sub(1, std::memory_order_relaxed);
  if (guest_ != nullptr)
    core_.leave_guest(*guest_);
  here_ = outer_;
}

void fork_scope::become_guest() {
  if (core_.called_by_own_worker()) {
    here_.worker = pool_worker::current();
    return;
  }
  if (core_.closing())
    throw pool_closed();
  // Without a place in the pool this thread does everything itself.
  here_.worker = guest_ = core_.enter_guest();
}

void fork_scope::fork(fork_frame& part) noexcept {
  if (here_.worker == nullptr || !here_.worker->push_fork(part))
    return; // join() runs it
  part.forked_ = true;
  core_.notify();
}

void fork_scope::join(fork_frame& part) noexcept {
  if (!part.forked_ || here_.worker->pop_fork() != nullptr) {
    run_here(part);
  } else if (!part.done()) {
    wait_for(part);
  }
}

void fork_scope::run_here(fork_frame& part) noexcept {
  if (!leaves_out())
    part.run();
}

void fork_scope::wait_for(fork_frame& part) noexcept {
  auto end = clock::now() + help_time;
  do {
    for (int i = 0; i < 16; ++i) {
      if (part.done())
        return;
      pause();
    }
    // While it is not done, its thief has nothing on offer but what it has forked: the thief's deque was empty when it
    // looked for work elsewhere. An item that is seen before the part is seen not to be done, and is then still there
    // to be taken, is one of those.
    pool_worker* thief = part.thief_.load(std::memory_order_acquire);
    const auto goes_on = [&] { return !part.done(); };
    if (pool_task* related = thief != nullptr ? thief->steal_fork_if(goes_on) : nullptr) {
      related->run_on(*here_.worker);
      end = clock::now() + help_time;
    }
  } while (core_.spins() && clock::now() < end);
  thread_waiter w;
  if (part.park(w))
    w.wait(part, {});
}

bool fork_scope::nothing_on_offer() const noexcept {
  return here_.worker != nullptr && here_.worker->offers_no_fork();
}

void fork_scope::fail(std::exception_ptr exception) noexcept {
  if (failed_.exchange(true, std::memory_order_relaxed))
    return;
  first_failure_ = std::move(exception);
  incomplete_.store(true, std::memory_order_relaxed);
  root_->attention_.fetch_add(1, std::memory_order_relaxed);
}

bool fork_scope::leaves_out_slowly() noexcept {
  const bool cancelled = root_->token_.cancellation_requested();
  for (const fork_scope* scope = this; scope != nullptr; scope = scope->outer_.scope) {
    if (cancelled || scope->stopped()) {
      incomplete_.store(true, std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

bool fork_scope::stopped() const noexcept {
  if (failed_.load(std::memory_order_relaxed))
    return true;
  return limit_ != nullptr && (limit_->token.cancellation_requested() || out_of_time());
}

bool fork_scope::out_of_time() const noexcept {
  return limit_ != nullptr && limit_->deadline != never && clock::now() >= limit_->deadline;
}

void fork_scope::finish_incomplete() {
  // What a part says of a cancellation is less exact than the reason for it.
  if (first_failure_ && !(is_cancelled(first_failure_) && out_of_time()))
    std::rethrow_exception(first_failure_);
  if (out_of_time())
    throw timed_out();
  throw cancelled();
}

} // namespace fourfold::detail
