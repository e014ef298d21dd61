#pragma once

#include <fourfold/process/sandbox_options.hpp>

#include <linux/filter.h>

#include <string_view>
#include <vector>

namespace fourfold::detail {

/// The filter that the kernel runs on each system call of a locked-down process, for this process's id.
[[nodiscard]] std::vector<sock_filter> seccomp_filter(const sandbox_options& sandbox);

/// The name of a system call that such a filter ends the process for; empty for those that nobody calls.
[[nodiscard]] std::string_view fatal_call_name(std::uint32_t number) noexcept;

} // namespace fourfold::detail
