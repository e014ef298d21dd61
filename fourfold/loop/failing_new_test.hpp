#pragma once

#include <cstddef>

namespace fourfold::test {

/// How operator new fails on the thread that asked for it.
enum class failing : bool {
  once,     ///< the n-th call from now, and that one alone
  from_then ///< that one and all that follow
};

/// While it exists, operator new fails on this thread as told. Others are left alone, as is malloc, by which the
/// language makes exceptions.
class failing_new {
 public:
  failing_new(std::size_t nth, failing how) noexcept;
  ~failing_new();
  failing_new(const failing_new&) = delete;
  failing_new& operator=(const failing_new&) = delete;

  /// Ends it early. True if any call has failed.
  bool end() noexcept;
};

} // namespace fourfold::test
