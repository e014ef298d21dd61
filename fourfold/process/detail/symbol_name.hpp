#pragma once

#include <cstdint>
#include <string>

namespace fourfold::detail {

/// What code stands at an address.
struct symbol_name {
  std::string module;       ///< the file that it was loaded from; empty if in none
  std::uint64_t offset = 0; ///< in the module, as `addr2line -e module` takes it
  std::string function;     ///< empty if the module does not tell (stripped, or not readable here)
};

/// Reads the symbol table of the module's file, if need be: for errors, not for every day.
[[nodiscard]] symbol_name name_symbol(std::uintptr_t address);
/// "function (module+0x1234)"
[[nodiscard]] std::string describe(const symbol_name& symbol);

} // namespace fourfold::detail
