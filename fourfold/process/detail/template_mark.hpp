#pragma once

namespace fourfold::detail {

/// The environment variable by which the program, executed anew, knows that it is not to enter main(); its value
/// says what it is instead. The descriptor is that of the socket to who started it.
inline constexpr const char* template_mark_variable = "FOURFOLD_WORKER_TEMPLATE";
inline constexpr const char* template_mark = "template";
inline constexpr const char* fresh_worker_mark = "worker"; ///< a worker that is not forked but executed
inline constexpr int template_mark_descriptor = 3;

} // namespace fourfold::detail
