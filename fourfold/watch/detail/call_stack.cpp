#include <fourfold/watch/detail/call_stack.hpp>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace fourfold::detail {
namespace {

struct freed {
  void operator()(char* text) const noexcept { std::free(text); }
};

std::string readable(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, freed> demangled(abi::__cxa_demangle(symbol, nullptr, nullptr, &status));
  return status == 0 ? demangled.get() : symbol;
}

/// The watching itself, which nobody wants to read about.
bool is_own(std::string_view function) noexcept {
  return function.find("wait_graph") != std::string_view::npos ||
         function.find("call_stack") != std::string_view::npos ||
         function.find("observe") != std::string_view::npos;
}

} // namespace

call_stack call_stack::here() noexcept {
  call_stack stack;
  stack.depth_ = ::backtrace(stack.frames_.data(), most);
  return stack;
}

void call_stack::describe(std::string& text, const char* indent) const {
  for (int i = 0; i < depth_; ++i) {
    // The call, and not where it returns to, which may be the next function already.
    const auto address = reinterpret_cast<std::uintptr_t>(frames_.at(static_cast<std::size_t>(i))) - 1;
    Dl_info found{};
    const bool known =
        ::dladdr(reinterpret_cast<void*>(address), &found) != 0; // NOLINT(performance-no-int-to-ptr)
    const std::string function = known && found.dli_sname != nullptr ? readable(found.dli_sname) : "";
    if (is_own(function))
      continue;
    const char* file = known && found.dli_fname != nullptr ? found.dli_fname : "?";
    if (const char* slash = std::strrchr(file, '/'))
      file = slash + 1;
    std::array<char, 32> place{};
    std::snprintf(place.data(), place.size(), "+0x%jx",
                  static_cast<std::uintmax_t>(address - reinterpret_cast<std::uintptr_t>(found.dli_fbase)));
    text += indent;
    text += function.empty() ? "" : function + " in ";
    text += std::string(file) + place.data() + "\n";
  }
}

} // namespace fourfold::detail
