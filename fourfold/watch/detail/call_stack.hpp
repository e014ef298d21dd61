#pragma once

#include <array>
#include <string>

namespace fourfold::detail {

/// Where something was called from: the return addresses, given names only when somebody reads them.
class call_stack {
 public:
  /// An empty one.
  call_stack() noexcept = default;
  [[nodiscard]] static call_stack here() noexcept;

  /// A line a function, innermost first, each beginning with `indent`. What the program does not export has only its
  /// place in the file, which `addr2line` understands.
  void describe(std::string& text, const char* indent) const;

 private:
  static constexpr int most = 24;

  std::array<void*, most> frames_{};
  int depth_ = 0;
};

} // namespace fourfold::detail
