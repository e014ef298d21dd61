#include <fourfold/base/errors.hpp>
#include <fourfold/process/code_address.hpp>

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <string_view>

namespace fourfold {
namespace {

std::uint64_t fnv1a(std::string_view text) noexcept { // http://www.isthe.com/chongo/tech/comp/fnv/
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::uint64_t module_of(const dl_phdr_info& info) noexcept {
  // The executable is the one without a name.
  return info.dlpi_name == nullptr || *info.dlpi_name == '\0' ? 0 : fnv1a(info.dlpi_name);
}

bool holds_code(const dl_phdr_info& info, std::uint64_t offset) noexcept {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && offset >= segment.p_vaddr &&
        offset - segment.p_vaddr < segment.p_memsz) {
      return true;
    }
  }
  return false;
}

struct address_query {
  std::uint64_t absolute;
  code_address found;
};

int find_module_of_address(dl_phdr_info* info, std::size_t, void* argument) {
  auto& query = *static_cast<address_query*>(argument);
  const std::uint64_t offset = query.absolute - info->dlpi_addr;
  if (!holds_code(*info, offset))
    return 0;
  query.found = {.module = module_of(*info), .offset = offset};
  return 1;
}

struct module_query {
  code_address wanted;
  std::uint64_t found;
};

int find_address_in_module(dl_phdr_info* info, std::size_t, void* argument) {
  auto& query = *static_cast<module_query*>(argument);
  if (module_of(*info) != query.wanted.module || !holds_code(*info, query.wanted.offset))
    return 0;
  query.found = info->dlpi_addr + query.wanted.offset;
  return 1;
}

/// The executable's one code segment, looked up once: it never moves, and nearly every address is in it.
struct executable_code {
  executable_code() noexcept {
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* argument) {
          if (module_of(*info) != 0)
            return 0;
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
  const std::uint64_t offset = reinterpret_cast<std::uint64_t>(address) - executable().base;
  if (executable().holds(offset))
    return {.module = 0, .offset = offset};
  address_query query{.absolute = reinterpret_cast<std::uint64_t>(address), .found = {}};
  if (::dl_iterate_phdr(&find_module_of_address, &query) == 0) {
    throw error("a function address is in no loaded module; it cannot travel to another process");
  }
  return query.found;
}

const void* from_code_address(const code_address& address) {
  if (address.module == 0 && executable().holds(address.offset)) {
    return reinterpret_cast<const void*>(executable().base + address.offset);
  }
  module_query query{.wanted = address, .found = 0};
  if (::dl_iterate_phdr(&find_address_in_module, &query) == 0) {
    throw decode_error(
        "a function lives in a module that this process has not loaded (dlopen in main?), or not in its "
        "code");
  }
  return reinterpret_cast<const void*>(query.found);
}

} // namespace fourfold
