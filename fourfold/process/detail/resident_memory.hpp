#pragma once

#include <sys/types.h>

#include <cstddef>

namespace fourfold::detail {

/// How many bytes of a process's memory are resident; 0 if that cannot be told. Some microseconds.
[[nodiscard]] std::size_t resident_memory(pid_t pid) noexcept;

} // namespace fourfold::detail
