#pragma once

#include <fourfold/loop/detail/interrupt.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/task.hpp>

#include <utility>

namespace fourfold {

struct run_options {
  /// Whether Ctrl-C cancels the main task. False: run() leaves signals alone.
  bool handle_interrupt = true;
};

/// Makes a loop on this thread and runs `main` to the end: what a program's main() calls. Throws what `main`
/// throws; `wrong_thread` if a loop runs on this thread already; std::system_error when the kernel gives no
/// descriptor.
///
/// Ctrl-C (SIGINT) cancels `main`: its present wait and every later one throw `cancelled`, clean-up that awaits
/// runs under `shield`, and run() throws `interrupted` when `main` has ended by that, or returns the value that
/// `main` returned all the same. A second SIGINT ends the process at once, as it would have without this; also
/// when the loop has not come to look at the first one. One that comes when `main` has ended already takes
/// effect when run() ends.
///
/// An `interrupted` that nobody catches ends the process as one that died of SIGINT, which is what shells and
/// other parents look at. As ever with uncaught exceptions, objects in main() are not destroyed; standard
/// output is flushed.
///
/// All this only on the main thread, and only if SIGINT has its default disposition and is not blocked there:
/// a program that ignores it (nohup, a background job) or handles it in its own way goes on doing so. A
/// `signal_set` that wants SIGINT has it while it exists. loop::run() never touches signals.
template <class T>
T run(task<T> main, run_options options = {}) {
  if (!options.handle_interrupt || !detail::interrupt_watch::possible())
    return loop().run(std::move(main));
  detail::interrupt_watch watch;
  loop l;
  return l.run(detail::cancelled_by_interrupt(watch, std::move(main)));
}

} // namespace fourfold
