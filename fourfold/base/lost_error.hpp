#pragma once

#include <exception>
#include <string_view>

namespace fourfold {

/// Told of an exception that nobody can catch any more: `where` says in half a sentence how it was lost. Any
/// thread; must not block.
using lost_error_handler = void (*)(const std::exception_ptr& lost, std::string_view where) noexcept;

/// Makes `handler` the one that is told, and returns the one before; null stands for the default, which writes
/// a line to standard error. Any thread.
lost_error_handler set_lost_error_handler(lost_error_handler handler) noexcept;

/// For those who write executors: tells of `lost`, unless it is `cancelled`, which is what dropping work means.
void tell_lost_error(const std::exception_ptr& lost, std::string_view where) noexcept;

} // namespace fourfold
