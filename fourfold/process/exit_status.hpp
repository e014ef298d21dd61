#pragma once

#include <string>

namespace fourfold {

/// How a process has ended.
struct exit_status {
  int code = 0;             ///< what it exited with; meaningful when `signal` is 0
  int signal = 0;           ///< the signal that killed it, or 0
  bool core_dumped = false; ///< whether a core file was written

  /// Whether it has exited with 0.
  [[nodiscard]] bool success() const noexcept { return signal == 0 && code == 0; }
  bool operator==(const exit_status&) const = default;
};

/// "exited with status 1", "was killed by signal 11 (SIGSEGV), core dumped"
[[nodiscard]] std::string to_string(const exit_status& status);

} // namespace fourfold
