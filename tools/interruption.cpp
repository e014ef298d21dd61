#include "interruption.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "process_tree.hpp"
#include "terminal.hpp"

namespace fourfold::tool {
namespace {

using namespace std::chrono_literals;

// Wakes the signal's thread for an ordinary end. Chosen because nothing else of this program uses it.
const int stop_signal = SIGRTMIN + 8;

sigset_t handled_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    ::sigaddset(&set, signal);
  return set;
}

// Workers end by themselves when their parent is gone; killing and reaping them makes it certain that nothing
// is left when this process has ended. Looked up again each time, because a pool whose template was just
// killed may be starting another.
void end_descendants() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1UL); // the workers of a killed template become children of this process
  const auto give_up = std::chrono::steady_clock::now() + 500ms;
  while (std::chrono::steady_clock::now() < give_up) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const std::vector<pid_t> processes = descendants_of(::getpid());
    if (processes.empty())
      return;
    for (const pid_t process : processes)
      ::kill(process, SIGKILL);
    std::this_thread::sleep_for(1ms);
  }
}

// Set once a signal was taken: from then on only its thread ends the program.
std::atomic<bool> ending{false};

} // namespace

interruption::interruption(std::function<void()> report) : report_(std::move(report)) {
  sigset_t set = handled_signals();
  ::sigaddset(&set, stop_signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { wait_for_signal(); });
}

interruption::~interruption() {
  ::pthread_kill(thread_.native_handle(), stop_signal);
  thread_.join();
  const sigset_t set = handled_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void interruption::wait_for_signal() {
  const sigset_t handled = handled_signals();
  sigset_t waited = handled;
  ::sigaddset(&waited, stop_signal);
  int signal = 0;
  while (::sigwait(&waited, &signal) != 0) {
  }
  if (signal == stop_signal)
    return;
  ending = true;
  // A second Ctrl-C must work even if what `report` writes to does not take it.
  ::pthread_sigmask(SIG_UNBLOCK, &handled, nullptr);
  try {
    report_();
  } catch (...) {
    // Nothing may keep the program alive now.
    write_all(STDERR_FILENO, "fourfold: stopped, without being able to write what was measured\n");
  }
  // Without its workers a model may fail in any way; its threads must not end the program before this one
  // does.
  std::set_terminate([] {
    for (;;)
      ::pause();
  });
  end_descendants();
  ::_exit(exit_interrupted);
}

void interruption::let_pending_signal_win() {
  std::this_thread::sleep_for(100ms);
  while (ending)
    std::this_thread::sleep_for(1s);
}

} // namespace fourfold::tool
