#include <fourfold/base/errors.hpp>
#include <fourfold/process/code_address.hpp>
#include <fourfold/process/detail/loaded_modules.hpp>

#include <elf.h>
#include <link.h>

#include <cstddef>

namespace fourfold {
namespace {

/// The executable's one code segment, looked up once: it never moves, and nearly every address is in it.
struct executable_code {
  executable_code() noexcept {
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* argument) { // the executable comes first
          auto& self = *static_cast<executable_code*>(argument);
          self.base = info->dlpi_addr;
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& segment = info->dlpi_phdr[i];
            if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0)
              continue;
            self.first = segment.p_vaddr;
            self.size = segment.p_memsz;
          }
          return 1;
        },
        this);
  }
  [[nodiscard]] bool holds(std::uint64_t offset) const noexcept { return offset - first < size; }

  std::uint64_t base = 0;
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};

const executable_code& executable() noexcept {
  static const executable_code code;
  return code;
}

} // namespace

code_address to_code_address(const void* address) {
  const auto absolute = reinterpret_cast<std::uint64_t>(address);
  const std::uint64_t offset = absolute - executable().base;
  if (executable().holds(offset))
    return {.module = 0, .offset = offset};
  const auto found = detail::find_in_modules(absolute);
  if (!found)
    throw error("a function address is in no loaded module; it cannot travel to another process");
  return {.module = found->module, .offset = found->offset};
}

const void* from_code_address(const code_address& address) {
  if (address.module == 0 && executable().holds(address.offset))
    return reinterpret_cast<const void*>(executable().base + address.offset);
  const auto found = detail::find_address({.module = address.module, .offset = address.offset});
  if (!found) {
    throw decode_error(
        "a function lives in a module that this process has not loaded (dlopen in main?) or that was "
        "replaced on "
        "disk, or not in its code");
  }
  return reinterpret_cast<const void*>(*found);
}

namespace detail {
namespace {

/// Where the mark of a virtual function is: on ARM, whose code addresses may be odd, in the adjustment.
constexpr bool mark_is_in_adjustment =
#if defined(__aarch64__)
    true;
#else
    false;
#endif

bool is_virtual(const member_function_parts& function) noexcept {
  return ((mark_is_in_adjustment ? function.adjustment : function.function) & 1) != 0;
}

} // namespace

void encode_member_function(encoder& out, const member_function_parts& function) {
  code_address address{.module = 0, .offset = function.function};
  const bool has_address = function.function != 0 && !is_virtual(function);
  if (has_address)
    address = to_code_address(reinterpret_cast<const void*>(function.function));
  out.write(has_address, address.module, address.offset, function.adjustment);
}

member_function_parts decode_member_function(decoder& in) {
  const bool has_address = in.read<bool>();
  const auto module = in.read<std::uint64_t>();
  const auto offset = in.read<std::uint64_t>();
  const auto adjustment = in.read<std::uint64_t>();
  if (!has_address)
    return {.function = offset, .adjustment = adjustment};
  return {.function =
              reinterpret_cast<std::uint64_t>(from_code_address({.module = module, .offset = offset})),
          .adjustment = adjustment};
}

} // namespace detail
} // namespace fourfold
