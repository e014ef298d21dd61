#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace fourfold::detail {

/// A name as the compiler mangled it, as a person would write it; itself, if it is none.
inline std::string readable_name(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                    &std::free);
  return status == 0 && name ? name.get() : mangled;
}

} // namespace fourfold::detail
