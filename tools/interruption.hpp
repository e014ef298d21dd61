// Ctrl-C and SIGTERM end the program at once, with what is already known.
//
// The models under measurement run code that cannot be asked to stop, so a signal is not waited for by them:
// a thread of its own takes it, lets `report` write what there is, kills the processes of the comparison and
// ends the program.
#pragma once

#include <functional>
#include <thread>

namespace fourfold::tool {

class interruption {
 public:
  // Blocks SIGINT, SIGTERM and SIGHUP in the calling thread; construct before any other thread is started, so
  // that all inherit it. `report` runs on the signal's thread, once; a second signal ends the program without
  // waiting for it.
  explicit interruption(std::function<void()> report);
  // From here on signals have their ordinary effect again.
  ~interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  // A signal from the terminal reaches the worker processes too, and a model may see one die before the
  // signal's thread has run. Called where a model has failed: gives an interruption that is on its way the
  // time to end the program.
  static void let_pending_signal_win();

 private:
  void wait_for_signal();

  std::function<void()> report_;
  std::thread thread_;
};

} // namespace fourfold::tool
