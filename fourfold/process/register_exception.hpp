#pragma once

#include <fourfold/base/codec.hpp>

#include <concepts>
#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>

namespace fourfold {

namespace detail {

struct exception_type {
  const std::type_info* type;
  /// Writes the exception, which is of that very type.
  void (*encode)(encoder& out, const std::exception_ptr& exception);
  std::exception_ptr (*decode)(decoder& in);
};
void add_exception_type(const exception_type& type);

template <class E>
concept made_from_text =
    std::derived_from<E, std::exception> && std::constructible_from<E, const std::string&>;

} // namespace detail

/// Lets exceptions of type `E` arrive as themselves from another process. One line, at namespace scope, so that workers
/// have it, too (they run no main()):
///
///   class parse_error : public std::runtime_error { using std::runtime_error::runtime_error; };
///   const fourfold::register_exception<parse_error> parse_error_travels;
///
/// An encodable type (base/codec.hpp, also by a hook) travels as its value; else it must derive from std::exception and
/// have a constructor that takes the text of what(). Classes derived from `E` are registered each for itself. What is
/// registered stays so; again is no harm. Any thread.
template <class E>
class register_exception {
  static_assert(
      encodable<E> || detail::made_from_text<E>,
      "register_exception: this type can be carried neither as a value (it is not encodable; give it a hook, "
      "see base/codec.hpp) nor as its text (it has no constructor from std::string, or is no "
      "std::exception)");

 public:
  register_exception() {
    detail::add_exception_type({.type = &typeid(E), .encode = &encode, .decode = &decode});
  }

 private:
  static void encode(encoder& out, const std::exception_ptr& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const E& e) {
      if constexpr (encodable<E>) {
        out.write(e);
      } else {
        out.write(std::string(e.what()));
      }
    }
  }
  static std::exception_ptr decode(decoder& in) {
    if constexpr (encodable<E>) {
      return std::make_exception_ptr(in.read<E>());
    } else {
      return std::make_exception_ptr(E(in.read<std::string>()));
    }
  }
};

} // namespace fourfold
