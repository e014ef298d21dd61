#pragma once

#include <fourfold/base/codec.hpp>

#include <exception>
#include <string>

namespace fourfold::detail {

/// An exception as bytes. The standard library's and Fourfold's own types arrive as themselves, with their text, and so
/// do those that are registered (register_exception); every other arrives as remote_error, with its type's name, its
/// text, those of the exceptions nested in it, and `backtrace()`, which is called for these alone. Never throws
/// anything but std::bad_alloc.
void encode_exception(encoder& out, const std::exception_ptr& exception,
                      std::string (*backtrace)() = nullptr);
/// Throws decode_error for bytes that are none, and what the decoder of a registered type throws.
[[nodiscard]] std::exception_ptr decode_exception(decoder& in);

} // namespace fourfold::detail
