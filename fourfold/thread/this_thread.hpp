#pragma once

#include <string>
#include <string_view>

namespace fourfold {

/// The name of this thread, as the kernel, debuggers and `top -H` show it: of a thread pool's thread "name-i".
/// Threads: any.
[[nodiscard]] std::string this_thread_name();
/// Names this thread; the kernel keeps the first 15 bytes.
void set_this_thread_name(std::string_view name) noexcept;

/// When, in which process, and on which thread (its number and name), for the beginning of a line of a log:
///
///   std::fprintf(stderr, "%s connected\n", log_prefix().c_str());
///   // 2026-03-09T14:33:49.012345Z 4711/4713 fetch-0 connected
///
/// The time is that of `std::chrono::system_clock` in UTC, in microseconds. The numbers are the kernel's:
/// those of `ps -L`, gdb and strace. Costs about a microsecond. Threads: any.
[[nodiscard]] std::string log_prefix();

} // namespace fourfold
