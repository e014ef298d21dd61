#pragma once

#include <fourfold/base/codec.hpp>

#include <exception>

namespace fourfold::detail {

/// An exception as bytes. The standard library's and Fourfold's own plain types arrive as themselves, with
/// their text; every other arrives as remote_error, with its type's name and text. Never throws anything but
/// std::bad_alloc.
void encode_exception(encoder& out, const std::exception_ptr& exception);
/// Throws decode_error for bytes that are none.
[[nodiscard]] std::exception_ptr decode_exception(decoder& in);

} // namespace fourfold::detail
