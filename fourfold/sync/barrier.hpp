#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <cstddef>
#include <functional>
#include <mutex>

namespace fourfold {

/// A place where a number of parties wait for one another, again and again: nobody goes on before all have come.
/// Threads and coroutines alike.
///
///   barrier rounds(3, [&]() noexcept { swap(front, back); });   // called once a round, while all are there
///   for (…) {
///     compute(part);
///     rounds.arrive_and_wait();                                // co_await rounds.async_arrive_and_wait();
///   }
///
/// A party whose wait ends by its limit or by cancellation has not arrived: the others wait on, for it or for
/// another in its place. If nobody will come, it says so by arrive_and_drop(). (Python's barrier breaks for
/// everybody instead. Here a wait that throws had no effect, as everywhere, and a group that cancels its other
/// members has done what breaking was for.)
///
/// Once the last party has come, the round is complete for all, whatever becomes of the parties.
///
/// Cancellation-aware: yes, both forms. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts; who was let through may destroy it at once, if it was the last round for
/// all, and as with an `event`. 88 bytes.
class barrier final : private parking_place {
 public:
  /// What is called by the last party of each round before it lets the others go on. It must not throw, nor use
  /// the barrier; it sees what all parties did before they came.
  using completion = std::move_only_function<void() noexcept>;

  /// For `parties` >= 1; std::invalid_argument otherwise.
  explicit barrier(std::ptrdiff_t parties, completion on_completion = {});
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;
  ~barrier();

  /// Arrives and waits for the others. Returns as the how many-th of its round it came, from 0: one number a
  /// party, by which one of them can be chosen. Throws `timed_out` or `cancelled`, not having arrived, and
  /// `error` when every party has dropped out.
  std::ptrdiff_t arrive_and_wait(const wait_limit& limit = {}) {
    return wait_blocking(arrive_operation{*this}, limit);
  }
  [[nodiscard]] auto async_arrive_and_wait() noexcept { return awaitable_operation(arrive_operation{*this}); }

  /// Arrives, and leaves this round and all later ones to the others. Does not wait. Throws `error` when every
  /// party has dropped out.
  void arrive_and_drop();

  /// How many must arrive in a round.
  [[nodiscard]] std::ptrdiff_t parties() const noexcept;
  /// How many wait now; only a hint while others come.
  [[nodiscard]] std::ptrdiff_t waiting() const noexcept;

 private:
  struct arrive_operation {
    barrier& self;
    std::ptrdiff_t place_in_round = 0;
    bool try_now() const noexcept { return false; }
    bool park(waiter& w) { return self.park(w, place_in_round); }
    parking_place& place() noexcept { return self; }
    std::ptrdiff_t result(wake_reason) const noexcept { return place_in_round; }
  };

  bool park(waiter& w, std::ptrdiff_t& place_in_round);
  bool withdraw(waiter& w) noexcept override;
  void require_parties() const;
  /// Everybody has come: lets them go on, and returns how many of them had been waiting. Leaves the lock.
  std::ptrdiff_t complete(std::unique_lock<small_lock> guard) noexcept;

  completion on_completion_;
  mutable small_lock lock_;
  // True while a round's completion runs. Who comes meanwhile (more callers than parties) belongs to the next
  // round.
  bool completing_ = false;
  std::ptrdiff_t parties_;
  std::ptrdiff_t missing_;         // in this round; below 0 only while completing_
  intrusive_list<waiter> waiters_; // argument: where its place in the round goes
};

} // namespace fourfold
