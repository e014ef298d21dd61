#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/base/wait_limit.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/sync/future_state.hpp>
#include <fourfold/sync/semaphore.hpp>

namespace fourfold::detail {

/// Several futures waited for at once, of any place: each one comes out in the order in which they end.
/// Allocates nothing: what is parked on a future is the entry itself, which its owner keeps in place until it
/// has been taken or withdrawn.
///
/// One thread or coroutine watches, takes and withdraws; futures end on any thread. Before it is destroyed,
/// each entry has been taken or withdrawn.
class completion_line {
 public:
  class entry : public waiter {
   public:
    void wake() noexcept final { line_->ended(*this); }

   private:
    friend completion_line;
    completion_line* line_ = nullptr;
    future_state_base* state_ = nullptr;
  };

  completion_line() = default;
  completion_line(const completion_line&) = delete;
  completion_line& operator=(const completion_line&) = delete;

  /// Throws `error` if somebody waits for that future already.
  void watch(entry& one, future_state_base& state);

  /// The next one that has ended, or null if there is none now.
  [[nodiscard]] entry* try_take() noexcept;
  /// Waits for it; at least one is watched. `likely` is the state of one that is watched: its place may get
  /// work done on this thread meanwhile. Throws `timed_out`, `cancelled`, and `wrong_thread` on the loop that
  /// would have to end it.
  entry& take(const wait_limit& limit, future_state_base& likely);
  /// `co_await line.async_ended()`, and then ended_one().
  [[nodiscard]] auto async_ended() noexcept { return count_.async_acquire(); }
  entry& ended_one() noexcept;

  /// Takes back an entry that has not been taken. False: it has ended, or is just about to; it comes out of
  /// take_ending().
  [[nodiscard]] bool withdraw(entry& one) noexcept { return one.state_->withdraw(one); }
  /// Waits for the moment that one which could not be withdrawn still needs.
  entry& take_ending() noexcept;

 private:
  void ended(entry& one) noexcept;
  void help(const wait_limit& limit, future_state_base& likely);

  small_lock lock_;
  intrusive_list<waiter> ended_;
  /// Somebody gets work done while they wait, until something has ended.
  cancellation_source* helper_ = nullptr;
  /// A permit for each in `ended_`, given after it was put there.
  semaphore count_{0};
};

} // namespace fourfold::detail
