#include <fourfold/base/errors.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/process/detail/exception_codec.hpp>
#include <fourfold/process/detail/readable_name.hpp>
#include <fourfold/process/register_exception.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <any>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

namespace fourfold::detail {
namespace {

// The types that travel as their text. Their place in the table is what travels, so both sides being one
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
    plain<std::bad_array_new_length>(),
    plain<std::bad_cast>(),
    plain<std::bad_any_cast>(),
    plain<std::bad_typeid>(),
    plain<std::bad_exception>(),
    plain<std::bad_function_call>(),
    plain<std::bad_weak_ptr>(),
    plain<std::bad_optional_access>(),
    plain<std::bad_variant_access>(),
    plain<std::exception>(),
    with_text<error>(),
    with_text<cancelled>(),
    with_text<timed_out>(),
    plain<queue_closed>(),
    with_text<pool_closed>(),
    with_text<wrong_thread>(),
    plain<broken_promise>(),
    with_text<decode_error>(),
    with_text<released_too_often>(),
    with_text<not_the_owner>(),
};

// What stands in front of an exception that is not in the table.
enum class tag : std::uint8_t {
  group = 247,
  death = 248,
  interruption = 249,
  future_error = 250,
  regex_error = 251,
  file_error = 252,
  registered = 253,
  system_error = 254,
  remote = 255,
};

// How deep exceptions may stand in one another.
constexpr unsigned most_levels = 16;

/// The types of register_exception.
class registry {
 public:
  static registry& instance() {
    static registry one; // also for static initialisers, whatever their order
    return one;
  }
  void add(const exception_type& type) {
    const std::lock_guard guard(lock_);
    if (find_locked(type.type->name()) == nullptr)
      types_.push_back(type);
  }
  [[nodiscard]] std::optional<exception_type> find(std::string_view name) {
    const std::lock_guard guard(lock_);
    const exception_type* found = find_locked(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }

 private:
  const exception_type* find_locked(std::string_view name) const {
    const auto found =
        std::ranges::find_if(types_, [&](const auto& type) { return type.type->name() == name; });
    return found != types_.end() ? &*found : nullptr;
  }

  small_lock lock_;
  std::vector<exception_type> types_;
};

// The categories that both sides know.
const std::error_category* const categories[] = {&std::system_category(), &std::generic_category(),
                                                 &std::iostream_category()};

std::optional<std::uint8_t> number_of(const std::error_category& category) {
  for (std::size_t i = 0; i < std::size(categories); ++i) {
    if (*categories[i] == category)
      return static_cast<std::uint8_t>(i);
  }
  return {};
}

std::error_code read_code(decoder& in) {
  const auto category = in.read<std::uint8_t>();
  const int value = in.read<int>();
  if (category >= std::size(categories))
    in.fail("an error code of no known category");
  return {value, *categories[category]};
}

/// The text that was passed to a constructor which made `what` of it by putting `before` and `after` around it.
std::string text_between(std::string_view what, std::string_view before, std::string_view after) {
  if (what.size() < before.size() + after.size() || !what.starts_with(before) || !what.ends_with(after))
    return std::string(what);
  what.remove_prefix(before.size());
  what.remove_suffix(after.size());
  return std::string(what);
}

/// Made by the constructor that takes so many paths.
std::filesystem::filesystem_error file_error(const std::string& text, unsigned paths,
                                             const std::filesystem::path& first,
                                             const std::filesystem::path& second, std::error_code code) {
  if (paths == 0)
    return {text, code};
  if (paths == 1)
    return {text, first, code};
  return {text, first, second, code};
}

class exception_encoder {
 public:
  exception_encoder(encoder& out, std::string (*backtrace)()) : out_(out), backtrace_(backtrace) {}

  void write(const std::exception_ptr& exception, unsigned levels) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& e) {
      if (!write_registered(exception, typeid(e), e.what()) && !write_known(e, levels))
        write_remote(readable_name(typeid(e).name()), text_of(e, most_levels));
    } catch (...) {
      const std::type_info* type = abi::__cxa_current_exception_type();
      if (type == nullptr)
        return write_remote("unknown exception", {});
      if (!write_registered(exception, *type, {}))
        write_remote(readable_name(type->name()), {});
    }
  }

 private:
  void write_tag(tag t) { out_.write(static_cast<std::uint8_t>(t)); }

  void write_remote(const std::string& type, const std::string& text) {
    write_tag(tag::remote);
    out_.write(type, text, backtrace_ != nullptr ? backtrace_() : std::string());
  }

  /// What it says, and what the exceptions nested in it say.
  static std::string text_of(const std::exception& e, unsigned levels) {
    std::string text = e.what();
    const auto* nested = dynamic_cast<const std::nested_exception*>(&e);
    if (nested == nullptr || nested->nested_ptr() == nullptr || levels == 0)
      return text;
    try {
      nested->rethrow_nested();
    } catch (const std::exception& inner) {
      text += "; caused by " + readable_name(typeid(inner).name()) + ": " + text_of(inner, levels - 1);
    } catch (...) {
      text += "; caused by an exception that is no std::exception";
    }
    return text;
  }

  bool write_registered(const std::exception_ptr& exception, const std::type_info& type, const char* text) {
    const auto registered = registry::instance().find(type.name());
    if (!registered)
      return false;
    byte_buffer value;
    try {
      encoder out(value);
      registered->encode(out, exception);
    } catch (const std::exception&) {
      return false; // its hook failed: better a remote_error than none
    }
    write_tag(tag::registered);
    out_.write(std::string(type.name()), std::string(text != nullptr ? text : ""));
    out_.write_sequence(value.bytes());
    return true;
  }

  bool write_known(const std::exception& e, unsigned levels) {
    const std::type_info& type = typeid(e);
    for (std::size_t i = 0; i < known_types.size(); ++i) {
      if (type == *known_types[i].type) {
        out_.write(static_cast<std::uint8_t>(i), std::string(e.what()));
        return true;
      }
    }
    if (type == typeid(std::system_error) || type == typeid(std::ios_base::failure))
      return write_system_error(static_cast<const std::system_error&>(e));
    if (type == typeid(std::filesystem::filesystem_error))
      return write_file_error(static_cast<const std::filesystem::filesystem_error&>(e));
    if (type == typeid(std::future_error)) {
      const std::error_code& code = static_cast<const std::future_error&>(e).code();
      write_tag(tag::future_error);
      out_.write(code.value());
    } else if (type == typeid(std::regex_error)) {
      write_tag(tag::regex_error);
      out_.write(static_cast<int>(static_cast<const std::regex_error&>(e).code()));
    } else if (type == typeid(worker_died)) {
      const auto& death = static_cast<const worker_died&>(e);
      write_tag(tag::death);
      out_.write(death.pid(), death.signal(), death.exit_code(), death.task_id());
    } else if (type == typeid(interrupted)) {
      write_tag(tag::interruption);
      out_.write(static_cast<const interrupted&>(e).signal());
    } else if (type == typeid(remote_error)) {
      const auto& remote = static_cast<const remote_error&>(e);
      write_tag(tag::remote);
      out_.write(remote.type_name(), remote.message(), remote.backtrace());
    } else if (type == typeid(exception_group) && levels != 0) {
      const auto& group = static_cast<const exception_group&>(e).exceptions();
      write_tag(tag::group);
      out_.write_size(group.size());
      for (const std::exception_ptr& one : group)
        write(one, levels - 1);
    } else {
      return false;
    }
    return true;
  }

  bool write_system_error(const std::system_error& e) {
    const auto category = number_of(e.code().category());
    if (!category)
      return false;
    // what() is "text: message of the code", or the message alone; the constructor appends the message again.
    std::optional<std::string> text;
    const std::string message = e.code().message();
    if (e.what() != message)
      text = text_between(e.what(), "", ": " + message);
    write_tag(tag::system_error);
    out_.write(typeid(e) == typeid(std::ios_base::failure), *category, e.code().value(), text);
    return true;
  }

  bool write_file_error(const std::filesystem::filesystem_error& e) {
    const auto category = number_of(e.code().category());
    if (!category)
      return false;
    // what() shows as many paths as were passed; the same with a text of our own shows what is put around it.
    unsigned paths = 2;
    std::string text = e.what();
    for (unsigned shown = 0; shown <= 2; ++shown) {
      const std::string probe = "?: " + e.code().message();
      const std::string around = file_error("?", shown, e.path1(), e.path2(), e.code()).what();
      const std::size_t at = around.find(probe);
      if (at == std::string::npos)
        continue;
      const std::string_view before = std::string_view(around).substr(0, at);
      const std::string_view after = std::string_view(around).substr(at + 1);
      std::string between = text_between(e.what(), before, after);
      if (between == e.what())
        continue;
      paths = shown;
      text = std::move(between);
      break;
    }
    write_tag(tag::file_error);
    out_.write(*category, e.code().value(), paths, text, e.path1(), e.path2());
    return true;
  }

  encoder& out_;
  std::string (*backtrace_)();
};

std::exception_ptr read_system_error(decoder& in) {
  const bool of_stream = in.read<bool>();
  const std::error_code code = read_code(in);
  const auto text = in.read<std::optional<std::string>>();
  if (of_stream)
    return std::make_exception_ptr(std::ios_base::failure(text.value_or(""), code));
  return text ? std::make_exception_ptr(std::system_error(code, *text))
              : std::make_exception_ptr(std::system_error(code));
}

/// what() ends there, so nothing behind it could be told from what comes next.
std::string up_to_zero(std::string text) {
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

std::exception_ptr read_file_error(decoder& in) {
  const std::error_code code = read_code(in);
  const auto paths = in.read<unsigned>();
  const auto text = up_to_zero(in.read<std::string>());
  const std::filesystem::path first = up_to_zero(in.read<std::filesystem::path>().string());
  const std::filesystem::path second = up_to_zero(in.read<std::filesystem::path>().string());
  return std::make_exception_ptr(file_error(text, paths, first, second, code));
}

std::exception_ptr read_registered(decoder& in) {
  const auto name = in.read<std::string>();
  auto text = in.read<std::string>();
  decoder value(in.read_bytes(in.read_size()));
  const auto registered = registry::instance().find(name);
  if (!registered) // only in the process that threw
    return std::make_exception_ptr(remote_error(readable_name(name.c_str()), std::move(text)));
  std::exception_ptr exception = registered->decode(value);
  value.finish();
  return exception;
}

std::exception_ptr read_death(decoder& in) {
  const auto pid = in.read<pid_t>();
  const int signal = in.read<int>();
  const int exit_code = in.read<int>();
  return std::make_exception_ptr(worker_died(pid, signal, exit_code, in.read<std::uint64_t>()));
}

std::exception_ptr read_remote(decoder& in) {
  auto type = in.read<std::string>();
  auto message = in.read<std::string>();
  return std::make_exception_ptr(remote_error(std::move(type), std::move(message), in.read<std::string>()));
}

std::exception_ptr read_regex_error(decoder& in) {
  // The standard gives the codes no numbers, and the type has no fixed ones: a number that is none must not become one.
  using namespace std::regex_constants;
  const int number = in.read<int>();
  for (const auto code :
       {error_collate, error_ctype, error_escape, error_backref, error_brack, error_paren, error_brace,
        error_badbrace, error_range, error_space, error_badrepeat, error_complexity, error_stack}) {
    if (static_cast<int>(code) == number)
      return std::make_exception_ptr(std::regex_error(code));
  }
  in.fail("an error of regular expressions of no known kind");
}

std::exception_ptr read_exception(decoder& in, unsigned levels);

std::exception_ptr read_group(decoder& in, unsigned levels) {
  if (levels == 0)
    in.fail("exceptions stand in one another too deep");
  std::vector<std::exception_ptr> exceptions;
  for (std::size_t left = in.read_size(); left > 0; --left)
    exceptions.push_back(read_exception(in, levels - 1));
  return std::make_exception_ptr(exception_group(std::move(exceptions)));
}

std::exception_ptr read_exception(decoder& in, unsigned levels) {
  const auto number = in.read<std::uint8_t>();
  if (number < known_types.size())
    return known_types[number].make(in.read<std::string>());
  switch (static_cast<tag>(number)) {
  case tag::group: return read_group(in, levels);
  case tag::death: return read_death(in);
  case tag::interruption: return std::make_exception_ptr(interrupted(in.read<int>()));
  case tag::future_error:
    return std::make_exception_ptr(std::future_error(static_cast<std::future_errc>(in.read<int>())));
  case tag::regex_error: return read_regex_error(in);
  case tag::file_error: return read_file_error(in);
  case tag::registered: return read_registered(in);
  case tag::system_error: return read_system_error(in);
  case tag::remote: return read_remote(in);
  }
  in.fail("an exception of no known kind");
}

} // namespace

void add_exception_type(const exception_type& type) { registry::instance().add(type); }

void encode_exception(encoder& out, const std::exception_ptr& exception, std::string (*backtrace)()) {
  exception_encoder(out, backtrace).write(exception, most_levels);
}

std::exception_ptr decode_exception(decoder& in) { return read_exception(in, most_levels); }

} // namespace fourfold::detail
