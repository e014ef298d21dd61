#include <fourfold/base/errors.hpp>

#include <cstring>
#include <utility>

namespace fourfold {
namespace {

/// "signal 9 (SIGKILL)"
std::string describe_signal(int signal) {
  std::string text = "signal " + std::to_string(signal);
  if (const char* name = sigabbrev_np(signal))
    text += std::string(" (SIG") + name + ")";
  return text;
}

std::string describe_death(pid_t pid, int signal, int exit_code, std::uint64_t task_id,
                           const std::string& reason) {
  std::string text = "worker process " + std::to_string(pid) + " running task " + std::to_string(task_id);
  if (signal != 0) {
    text += " was killed by " + describe_signal(signal);
  } else {
    text += " exited with status " + std::to_string(exit_code);
  }
  if (!reason.empty())
    text += ": " + reason;
  return text;
}

} // namespace

interrupted::interrupted(int signal)
    : cancelled("interrupted by " + describe_signal(signal)), signal_(signal) {}

worker_died::worker_died(pid_t pid, int signal, int exit_code, std::uint64_t task_id,
                         const std::string& reason)
    : error(describe_death(pid, signal, exit_code, task_id, reason)),
      pid_(pid),
      signal_(signal),
      exit_code_(exit_code),
      task_id_(task_id) {}

remote_error::remote_error(std::string type_name, std::string message, std::string backtrace)
    : error(message.empty() ? type_name : type_name + ": " + message),
      type_name_(std::move(type_name)),
      message_(std::move(message)),
      backtrace_(std::move(backtrace)) {}

bool is_cancelled(const std::exception_ptr& exception) noexcept {
  if (!exception)
    return false;
  try {
    std::rethrow_exception(exception);
  } catch (const cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

} // namespace fourfold
