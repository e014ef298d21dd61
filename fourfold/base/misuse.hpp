#pragma once

namespace fourfold {

/// A broken contract that no exception could mend (a mutex destroyed while somebody waits on it): says so on
/// standard error and aborts.
[[noreturn]] void misuse(const char* sentence) noexcept;

} // namespace fourfold
