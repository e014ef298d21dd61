#pragma once

#include <fourfold/process/sandbox_options.hpp>

#include <atomic>
#include <cstdint>
#include <string>

namespace fourfold::detail {

/// Throws std::system_error (ENOTSUP) that says what the kernel lacks for such a sandbox.
void require_support(const sandbox_options& sandbox);

/// Locks this process down, for good. From now on, before a denied system call ends it, the call's number plus one is
/// stored in `denied`; or, where that is null, a line is written to standard error. Throws std::system_error when the
/// kernel refuses, and then the process must not go on.
void enter_sandbox(const sandbox_options& sandbox, std::atomic<std::uint32_t>* denied);

/// Lets this process use so many seconds of CPU time from now on.
void renew_cpu_time(std::uint32_t seconds) noexcept;

/// "socket(2)", or by number.
[[nodiscard]] std::string name_of_system_call(std::uint32_t number);
/// Why a sandboxed process ended by `signal`: a sentence for an error; empty if that is not the sandbox's doing.
/// `denied` as enter_sandbox() stores it, not believed.
[[nodiscard]] std::string why_sandbox_ended(int signal, std::uint32_t denied);

} // namespace fourfold::detail
