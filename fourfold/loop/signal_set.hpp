#pragma once

#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/task.hpp>

#include <initializer_list>

namespace fourfold {

class loop;
namespace detail {
class signal_slot;
}

/// Takes signals of the process and hands them to a coroutine.
///
///   signal_set stop({SIGTERM, SIGHUP});
///   const int number = co_await stop.next();
///
/// While it exists, its signals do only this: what they did before (their default, or a handler of the
/// program's, which is not called meanwhile) they do again when the last set that wants them has gone. Several
/// sets, on any loops, may want the same signal; each gets it. A set that wants SIGINT has it in run()'s
/// place.
///
/// A signal that arrives while nobody awaits is kept, as the kernel keeps a pending one: a real-time signal as
/// often as it has come, any other once. What was not taken goes with the set. System calls that the handler
/// interrupts go on where the kernel can do that (SA_RESTART). A signal that every thread blocks arrives
/// nowhere, here neither.
///
/// Threads: bound to the loop on whose thread it was made; to be destroyed there, or after that loop's end.
/// Destroying it while a task waits for its signals is misuse. fork(): the child has no part in it; its
/// signals do there what they did before the set.
class signal_set {
 public:
  /// Throws `error`, and has changed nothing, for a number that is no signal, for one that cannot be taken
  /// (SIGKILL, SIGSTOP), for one by which an instruction fails and not somebody asks (SIGSEGV, SIGBUS, SIGFPE,
  /// SIGILL, SIGTRAP, SIGSYS), and for no number at all; `wrong_thread` outside of a loop; std::system_error
  /// when the kernel gives no descriptor.
  explicit signal_set(std::initializer_list<int> numbers);
  ~signal_set();
  signal_set(const signal_set&) = delete;
  signal_set& operator=(const signal_set&) = delete;

  /// The number of the next signal; of several that have come, the lowest. The set must outlive the task. One
  /// task may wait at a time; a second one gets `error`. Cancellation-aware: yes, and no signal is lost by
  /// it. Resumes on the loop. Threads: the loop's; another loop's gets `wrong_thread`.
  [[nodiscard]] task<int> next();

 private:
  loop* owner_; // compared, never followed
  async_descriptor bell_;
  detail::signal_slot* slot_;
  bool awaited_ = false;
};

} // namespace fourfold
