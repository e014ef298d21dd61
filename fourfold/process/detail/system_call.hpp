#pragma once

#include <cerrno>
#include <system_error>

namespace fourfold::detail {

[[noreturn]] inline void throw_errno(const char* call, int reason = errno) {
  throw std::system_error(reason, std::generic_category(), call);
}

/// The result of a system call, or std::system_error.
template <class Result>
Result checked(Result result, const char* call) {
  if (result < 0)
    throw_errno(call);
  return result;
}

} // namespace fourfold::detail
