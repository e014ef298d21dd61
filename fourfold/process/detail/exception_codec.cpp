#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/exception_codec.hpp>

#include <cxxabi.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>

namespace fourfold::detail {
namespace {

// The types that travel as themselves. Their place in the table is what travels, so both sides being one
// build is what makes it right. A type is recognised exactly: a class derived from one of these is a
// remote_error.
struct known_type {
  const std::type_info* type;
  std::exception_ptr (*make)(const std::string& text);
};

template <class E>
constexpr known_type with_text() {
  return {&typeid(E), [](const std::string& text) { return std::make_exception_ptr(E(text)); }};
}
template <class E>
constexpr known_type plain() {
  return {&typeid(E), [](const std::string&) { return std::make_exception_ptr(E()); }};
}

const std::array known_types{
    with_text<std::runtime_error>(),
    with_text<std::logic_error>(),
    with_text<std::invalid_argument>(),
    with_text<std::out_of_range>(),
    with_text<std::domain_error>(),
    with_text<std::length_error>(),
    with_text<std::range_error>(),
    with_text<std::overflow_error>(),
    with_text<std::underflow_error>(),
    plain<std::bad_alloc>(),
    plain<std::exception>(),
    with_text<error>(),
    with_text<cancelled>(),
    plain<timed_out>(),
    plain<queue_closed>(),
    with_text<pool_closed>(),
    with_text<wrong_thread>(),
    plain<broken_promise>(),
    with_text<decode_error>(),
    with_text<released_too_often>(),
};

constexpr std::uint8_t system_error_tag = 254;
constexpr std::uint8_t remote_tag = 255;

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 && name ? name.get() : type.name();
}

void encode_standard(encoder& out, const std::exception& e) {
  const std::type_info& type = typeid(e);
  for (std::size_t i = 0; i < known_types.size(); ++i) {
    if (type == *known_types[i].type) {
      out.write(static_cast<std::uint8_t>(i), std::string(e.what()));
      return;
    }
  }
  if (type == typeid(std::system_error)) {
    const std::error_code code = static_cast<const std::system_error&>(e).code();
    const bool generic = code.category() == std::generic_category();
    if (generic || code.category() == std::system_category()) {
      // what() is "text: message of the code", or the message alone; the constructor appends the message again.
      std::optional<std::string> text = e.what();
      const std::string message = code.message();
      const std::string suffix = ": " + message;
      if (text == message)
        text.reset();
      else if (text->ends_with(suffix))
        text->resize(text->size() - suffix.size());
      out.write(system_error_tag, generic, code.value(), text);
      return;
    }
  }
  if (type == typeid(remote_error)) {
    const auto& remote = static_cast<const remote_error&>(e);
    out.write(remote_tag, remote.type_name(), remote.message());
    return;
  }
  out.write(remote_tag, readable_name(type), std::string(e.what()));
}

} // namespace

void encode_exception(encoder& out, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    encode_standard(out, e);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    out.write(remote_tag, type == nullptr ? std::string("unknown exception") : readable_name(*type),
              std::string());
  }
}

std::exception_ptr decode_exception(decoder& in) {
  const auto tag = in.read<std::uint8_t>();
  if (tag < known_types.size())
    return known_types[tag].make(in.read<std::string>());
  if (tag == system_error_tag) {
    const bool generic = in.read<bool>();
    const int value = in.read<int>();
    const auto text = in.read<std::optional<std::string>>();
    const std::error_code code(value, generic ? std::generic_category() : std::system_category());
    return text ? std::make_exception_ptr(std::system_error(code, *text))
                : std::make_exception_ptr(std::system_error(code));
  }
  if (tag != remote_tag)
    in.fail("an exception of no known kind");
  auto type = in.read<std::string>();
  auto message = in.read<std::string>();
  return std::make_exception_ptr(remote_error(std::move(type), std::move(message)));
}

} // namespace fourfold::detail
