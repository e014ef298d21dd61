#pragma once

namespace fourfold::detail {

/// The environment variable by which the program, executed anew, knows that it is to serve as worker
/// template, and the descriptor of the socket to its pool.
inline constexpr const char* template_mark_variable = "FOURFOLD_WORKER_TEMPLATE";
inline constexpr int template_mark_descriptor = 3;

} // namespace fourfold::detail
