#include <fourfold/process/detail/symbol_name.hpp>
#include <fourfold/process/detail/throw_site.hpp>

#include <unwind.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fourfold::detail {
namespace {

// Enough for the frames of the runtime that throws and for those that a person reads.
constexpr std::size_t most_frames = 64;

struct throw_site {
  std::uintptr_t outermost = 0; // the stack of what is watched ends here; 0: nothing is watched
  std::size_t count = 0;
  std::array<std::uintptr_t, most_frames> frames{};
};
constinit thread_local throw_site site;

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void*) {
  if (site.count == site.frames.size() || _Unwind_GetCFA(context) > site.outermost)
    return _URC_END_OF_STACK;
  // A return address; the call stands before it.
  site.frames[site.count++] = static_cast<std::uintptr_t>(_Unwind_GetIP(context)) - 1;
  return _URC_NO_REASON;
}

/// Looking a name up takes a millisecond; a function that fails does so again.
const symbol_name& remembered_symbol(std::uintptr_t address) {
  static thread_local std::unordered_map<std::uintptr_t, symbol_name> known;
  const auto found = known.find(address);
  return found != known.end() ? found->second : known.emplace(address, name_symbol(address)).first->second;
}

bool is_of_the_runtime(const std::string& function) {
  return function.find("__cxa_throw") != std::string::npos ||
         function.find("__cxa_rethrow") != std::string::npos ||
         function.find("rethrow_exception") != std::string::npos ||
         function.find("_Unwind_") != std::string::npos ||
         function.find("__gxx_personality") != std::string::npos;
}

} // namespace

/// The type_info of throw_watcher.
class watching_type_info final : public std::type_info {
 public:
  watching_type_info() : std::type_info("N8fourfold6detail13throw_watcherE") {}
  bool __do_catch(const std::type_info*, void**, unsigned) const override {
    // It is asked twice: in the search, and again while unwinding, when the frames of interest are gone.
    if (site.outermost != 0 && site.count == 0)
      _Unwind_Backtrace(&note_frame, nullptr);
    return false;
  }
};

// By the name that the compiler gives the type_info of throw_watcher.
extern const watching_type_info throw_watcher_type __asm__("_ZTIN8fourfold6detail13throw_watcherE");
const watching_type_info throw_watcher_type;

throw_site_scope::throw_site_scope() noexcept {
  site.count = 0;
  // Where the frame of whoever makes the scope ends and those of its calls begin. Not the scope's address: a sanitizer
  // may keep locals elsewhere.
  site.outermost = reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa());
}
throw_site_scope::~throw_site_scope() { site.outermost = 0; }

std::string describe_throw_site() {
  const std::span frames(site.frames.data(), std::exchange(site.count, 0));
  std::vector<symbol_name> symbols;
  symbols.reserve(frames.size());
  for (const std::uintptr_t frame : frames)
    symbols.push_back(remembered_symbol(frame));
  // What stands before the throw are the runtime, and we, who noted it.
  const auto thrower = std::find_if(symbols.rbegin(), symbols.rend(),
                                    [](const auto& s) { return is_of_the_runtime(s.function); });
  std::string text;
  for (auto at = thrower.base(); at != symbols.end(); ++at)
    text += describe(*at) + "\n";
  return text;
}

} // namespace fourfold::detail
