#pragma once

#include <fourfold/base/wait_limit.hpp>

#include <cstddef>

namespace fourfold {

/// For parallel_for and parallel_reduce.
struct parallel_options {
  /// When it is over, what has not begun is left out, and the call throws `timed_out` or `cancelled`. The
  /// token of the call around, current_cancellation(), counts in any case.
  wait_limit limit = {};
  /// How many elements one thread does at a stretch, without looking whether others want work; 0: as many as
  /// take about 10 µs, found by measuring while it runs.
  std::size_t grain = 0;
};

} // namespace fourfold
