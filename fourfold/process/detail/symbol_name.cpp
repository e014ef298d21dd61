#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/readable_name.hpp>
#include <fourfold/process/detail/shared_memory.hpp>
#include <fourfold/process/detail/symbol_name.hpp>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <span>

namespace fourfold::detail {
namespace {

using header = ElfW(Ehdr);
using section = ElfW(Shdr);
using symbol = ElfW(Sym);

/// Copies a T out of a file's bytes; false if it does not lie in them.
template <class T>
bool read_at(std::span<const std::byte> file, std::uint64_t offset, T& value) {
  if (offset > file.size() || file.size() - offset < sizeof value)
    return false;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return true;
}

/// The mangled name of the function at `offset`, by one of the file's symbol tables.
std::string find_in_table(std::span<const std::byte> file, const section& table, const section& names,
                          std::uint64_t offset) {
  symbol one{};
  for (std::uint64_t at = 0; at + sizeof one <= table.sh_size; at += sizeof one) {
    if (!read_at(file, table.sh_offset + at, one))
      return {};
    if (ELF64_ST_TYPE(one.st_info) != STT_FUNC || offset - one.st_value >= one.st_size)
      continue;
    std::string name;
    char letter = 0;
    for (std::uint64_t i = names.sh_offset + one.st_name; read_at(file, i, letter) && letter != 0; ++i)
      name += letter;
    return name;
  }
  return {};
}

std::string find_function(const char* path, std::uint64_t offset) {
  const unique_fd fd(::open(path, O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0)
    return {};
  const shared_mapping mapping(fd.get(), static_cast<std::size_t>(status.st_size), false);
  const std::span<const std::byte> file = mapping.bytes();
  header head{};
  if (!read_at(file, 0, head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
    return {};
  for (const auto wanted : {SHT_SYMTAB, SHT_DYNSYM}) {
    for (unsigned i = 0; i < head.e_shnum; ++i) {
      section table{};
      section names{};
      if (!read_at(file, head.e_shoff + i * sizeof table, table) ||
          table.sh_type != static_cast<unsigned>(wanted) ||
          !read_at(file, head.e_shoff + table.sh_link * sizeof names, names))
        continue;
      std::string name = find_in_table(file, table, names, offset);
      if (!name.empty())
        return name;
    }
  }
  return {};
}

struct module_query {
  std::uintptr_t address;
  symbol_name found;
  bool is_program = false;
};

int find_module(dl_phdr_info* info, std::size_t, void* argument) {
  auto& query = *static_cast<module_query*>(argument);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const std::uint64_t offset = query.address - info->dlpi_addr;
    if (segment.p_type != PT_LOAD || offset - segment.p_vaddr >= segment.p_memsz)
      continue;
    query.is_program = info->dlpi_name == nullptr || *info->dlpi_name == '\0';
    query.found.module = query.is_program ? "/proc/self/exe" : info->dlpi_name;
    query.found.offset = offset;
    return 1;
  }
  return 0;
}

} // namespace

symbol_name name_symbol(std::uintptr_t address) {
  module_query query{.address = address, .found = {}};
  if (::dl_iterate_phdr(&find_module, &query) == 0)
    return {.module = {}, .offset = address, .function = {}};
  try {
    const std::string mangled = find_function(query.found.module.c_str(), query.found.offset);
    if (!mangled.empty())
      query.found.function = readable_name(mangled.c_str());
  } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): a backtrace without names is one, too
  }
  if (query.is_program) {
    std::error_code none;
    query.found.module = std::filesystem::read_symlink("/proc/self/exe", none).string();
  }
  return query.found;
}

std::string describe(const symbol_name& symbol) {
  std::array<char, 24> offset{};
  std::snprintf(offset.data(), offset.size(), "+0x%llx", static_cast<unsigned long long>(symbol.offset));
  const std::string place = symbol.module + offset.data();
  return symbol.function.empty() ? place : symbol.function + " (" + place + ")";
}

} // namespace fourfold::detail
