#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace fourfold::detail {

/// The executable or a shared library, as another process can recognise it.
struct module_identity {
  std::uint64_t path = 0;  ///< hash of its path; 0: the executable
  std::uint64_t build = 0; ///< hash of its build id, or of its layout where the linker left none
};

/// What is loaded in this process now, in the order of loading: the executable first.
[[nodiscard]] std::vector<module_identity> loaded_modules();
/// Whether `theirs`, loaded in a process that has executed the same program, are the same builds as here, as far
/// as they are loaded here.
[[nodiscard]] bool same_builds(const std::vector<module_identity>& theirs);
/// One number for all that is loaded now.
[[nodiscard]] std::uint64_t mark_of(const std::vector<module_identity>& modules) noexcept;

/// An address as offset in a module, and back. Nothing: in no loaded module, or not in its code.
struct module_offset {
  std::uint64_t module = 0; ///< 0: the executable
  std::uint64_t offset = 0;
};
[[nodiscard]] std::optional<module_offset> find_in_modules(std::uint64_t address);
[[nodiscard]] std::optional<std::uint64_t> find_address(const module_offset& place);

} // namespace fourfold::detail
