#pragma once

#include <fourfold/base/wait_limit.hpp>

#include <atomic>
#include <cstdint>

namespace fourfold {

/// How the holder before let go of a process_mutex.
enum class [[nodiscard]] last_holder : bool {
  unlocked, ///< as it should
  died,     ///< it ended with the mutex held: what the mutex guards may be half written
};

/// A mutex for memory that several processes share. It stands in that memory itself, and survives its holders:
/// the thread that holds it may be killed at any instruction, and the next one gets the mutex and is told so,
/// once. All-zero bytes are an unlocked mutex, so fresh shared memory needs no constructor.
///
///   if (m.lock(1s) == last_holder::died) repair();
///   …
///   m.unlock();
///
/// Death is seen by the kernel, which walks a list of what an ending thread holds (robust futexes). So a
/// mutex belongs to the thread that locked it: hold it for a short section and never across a co_await, and
/// unlock pthread's own robust mutexes in the opposite order of locking when both are held.
///
/// Nothing in the shared bytes is a pointer that this process would follow while mutexes are unlocked last
/// locked first; a peer that scribbles over them can make a lock wait (until the limit), or let two in.
///
/// Cancellation-aware: yes, a cancelled or timed-out lock has had no effect. Threads: any; coroutines: block
/// their loop while they wait. First come is not first served. Destruction does nothing: the memory is the
/// mutex. All processes must be in one PID namespace.
class process_mutex {
 public:
  process_mutex() noexcept = default;
  process_mutex(const process_mutex&) = delete;
  process_mutex& operator=(const process_mutex&) = delete;

  /// Throws `timed_out` or `cancelled`, and `error` if this thread holds it already.
  last_holder lock(const wait_limit& limit = {});
  /// False if somebody else has it. `last` is set when true.
  [[nodiscard]] bool try_lock(last_holder& last) noexcept;
  /// By the thread that locked it; by another one it is misuse and aborts.
  void unlock() noexcept;

 private:
  void wait(const wait_limit& limit, last_holder& last);

  // The kernel finds the word from the link: the distance is one for all of a thread's mutexes, and glibc has
  // set it for its own.
  std::atomic<std::uint32_t> word_{0}; // as the kernel wants it: the holder's thread id, and two flags
  [[maybe_unused]] std::uint32_t unused_[5]{};
  void* previous_ = nullptr; // for glibc, which writes it when it links a mutex of its own in front
  void* next_ = nullptr;     // the link
};
static_assert(sizeof(process_mutex) == 40);

} // namespace fourfold
