#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

namespace fourfold::detail {

/// Whether every thread of this process but the calling one is parked for good unless another one of them wakes it: in
/// a futex that no other process shares, without a time limit, as the locks and joins of all libraries do; or is one of
/// `excused()`, and sleeps in whatever system call. False in doubt. Throws std::bad_alloc.
[[nodiscard]] bool all_threads_are_parked(const std::function<std::vector<pid_t>()>& excused);

} // namespace fourfold::detail
