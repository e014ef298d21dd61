#pragma once

// For tests: processes that are killed on the way.

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace fourfold::test {

/// A forked child that runs `action`; killed, if it still runs, and reaped at the end of the scope.
class forked_child {
 public:
  template <class Action>
  explicit forked_child(Action&& action) : pid_(::fork()) {
    if (pid_ != 0)
      return;
    action();
    ::_exit(0);
  }
  ~forked_child() { kill(); }
  forked_child(const forked_child&) = delete;
  forked_child& operator=(const forked_child&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void kill() noexcept {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  /// Waits for its end; its exit status, or -1 after a signal.
  int wait() noexcept {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_;
};

/// Waits until a child sleeps in the kernel.
inline void wait_until_asleep(pid_t pid) {
  for (;;) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos || text.compare(name_end, 3, ") S") == 0)
      return;
    std::this_thread::yield();
  }
}

enum class step_result { killed, finished, not_allowed };

/// Lets a forked child execute so many instructions of `action`, and kills it there.
template <class Action>
step_result kill_after_instructions(long count, Action&& action) {
  const auto traced = [&] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
      ::_exit(77);
    ::raise(SIGSTOP);
    action();
  };
  forked_child child(traced);
  int status = 0;
  ::waitpid(child.pid(), &status, 0);
  if (!WIFSTOPPED(status))
    return step_result::not_allowed;
  for (long i = 0; i < count; ++i) {
    if (::ptrace(PTRACE_SINGLESTEP, child.pid(), nullptr, nullptr) != 0)
      return step_result::not_allowed;
    ::waitpid(child.pid(), &status, 0);
    if (!WIFSTOPPED(status))
      return step_result::finished;
  }
  return step_result::killed;
}

/// Calls `check` after a kill at each of many instructions of `action`, evenly over all of it. False if the
/// system allows no tracing.
template <class Action, class Check>
bool kill_everywhere(Action&& action, Check&& check) {
  // How long it is: doubled until it finishes.
  long length = 256;
  for (;;) {
    const step_result result = kill_after_instructions(length, action);
    check();
    if (result == step_result::not_allowed)
      return false;
    if (result == step_result::finished)
      break;
    length *= 2;
  }
  constexpr long kills = 150;
  const long stride = std::max(1L, length / kills);
  for (long at = 0; at < length; at += stride) {
    const step_result result = kill_after_instructions(at, action);
    check();
    if (result != step_result::killed)
      break;
  }
  return true;
}

} // namespace fourfold::test
