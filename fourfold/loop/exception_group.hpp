#pragma once

#include <fourfold/base/errors.hpp>

#include <exception>
#include <vector>

namespace fourfold {

/// Several things failed that end together: tasks of a group, or a body and its clean-ups. (A single failure
/// is thrown as itself.)
class exception_group : public error {
 public:
  explicit exception_group(std::vector<std::exception_ptr> exceptions);

  /// In the order in which they happened.
  [[nodiscard]] const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

 private:
  std::vector<std::exception_ptr> exceptions_;
};

} // namespace fourfold
