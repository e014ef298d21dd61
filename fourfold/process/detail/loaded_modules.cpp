#include <fourfold/process/detail/loaded_modules.hpp>

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <string_view>

namespace fourfold::detail {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view gnu = "GNU\0"sv; // its end counts
constexpr std::uint64_t empty_hash = 0xcbf29ce484222325;

std::uint64_t fnv1a(std::string_view text,
                    std::uint64_t hash = empty_hash) noexcept { // http://www.isthe.com/chongo/tech/comp/fnv/
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

template <class T>
std::string_view bytes_of(const T& value) noexcept {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// The build id in a segment of notes, as the linker wrote it; empty if there is none.
std::string_view build_id_in(const char* notes, std::size_t size) noexcept {
  const auto rounded = [](std::size_t bytes) { return (bytes + 3) / 4 * 4; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof note);
    const char* const name = notes + sizeof note;
    const std::size_t whole = sizeof note + rounded(note.n_namesz) + rounded(note.n_descsz);
    if (whole > size)
      break;
    if (note.n_type == NT_GNU_BUILD_ID && std::string_view(name, note.n_namesz) == gnu)
      return {name + rounded(note.n_namesz), note.n_descsz};
    notes += whole;
    size -= whole;
  }
  return {};
}

std::uint64_t build_of(const dl_phdr_info& info) noexcept {
  std::uint64_t layout = empty_hash;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type == PT_NOTE) {
      const auto id =
          build_id_in(reinterpret_cast<const char*>(info.dlpi_addr + segment.p_vaddr), segment.p_memsz);
      if (!id.empty())
        return fnv1a(id);
    }
    layout = fnv1a(bytes_of(segment.p_vaddr), layout);
    layout = fnv1a(bytes_of(segment.p_memsz), layout);
    layout = fnv1a(bytes_of(segment.p_flags), layout);
  }
  return layout;
}

module_identity identity_of(const dl_phdr_info& info) noexcept {
  // The executable is the one without a name.
  const bool is_executable = info.dlpi_name == nullptr || *info.dlpi_name == '\0';
  return {.path = is_executable ? 0 : fnv1a(info.dlpi_name), .build = build_of(info)};
}

struct code_segment {
  std::uint64_t module;
  std::uint64_t base; // of the module
  std::uint64_t offset;
  std::uint64_t size;
};

/// The code of everything that is loaded, kept until something else is.
class module_table {
 public:
  template <class F>
  auto with_current(F f) {
    const std::lock_guard guard(lock_);
    unsigned long long changes = 0;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* result) {
          *static_cast<unsigned long long*>(result) = info->dlpi_adds + info->dlpi_subs;
          return 1;
        },
        &changes);
    if (changes != changes_) {
      segments_.clear();
      ::dl_iterate_phdr(
          [](dl_phdr_info* info, std::size_t, void* self) {
            static_cast<module_table*>(self)->add(*info);
            return 0;
          },
          this);
      changes_ = changes;
    }
    return f(segments_);
  }

 private:
  void add(const dl_phdr_info& info) {
    const module_identity identity = identity_of(info);
    const std::uint64_t module = identity.path == 0 ? 0 : fnv1a(bytes_of(identity.build), identity.path);
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      const auto& segment = info.dlpi_phdr[i];
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
        segments_.push_back(
            {.module = module, .base = info.dlpi_addr, .offset = segment.p_vaddr, .size = segment.p_memsz});
      }
    }
  }

  std::mutex lock_;
  unsigned long long changes_ = 0; // never that many: the executable counts
  std::vector<code_segment> segments_;
};

module_table& modules() {
  static module_table table;
  return table;
}

} // namespace

std::vector<module_identity> loaded_modules() {
  std::vector<module_identity> found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        static_cast<std::vector<module_identity>*>(result)->push_back(identity_of(*info));
        return 0;
      },
      &found);
  return found;
}

bool same_builds(const std::vector<module_identity>& theirs) {
  const std::vector<module_identity> ours = loaded_modules();
  return std::ranges::all_of(theirs, [&](const module_identity& their) {
    const auto here = std::ranges::find(ours, their.path, &module_identity::path);
    return here == ours.end() || here->build == their.build;
  });
}

std::uint64_t mark_of(const std::vector<module_identity>& modules) noexcept {
  std::uint64_t mark = empty_hash;
  for (const module_identity& one : modules)
    mark = fnv1a(bytes_of(one.build), fnv1a(bytes_of(one.path), mark));
  return mark;
}

std::optional<module_offset> find_in_modules(std::uint64_t address) {
  return modules().with_current(
      [&](const std::vector<code_segment>& segments) -> std::optional<module_offset> {
        for (const code_segment& one : segments) {
          if (address - one.base - one.offset < one.size)
            return module_offset{.module = one.module, .offset = address - one.base};
        }
        return std::nullopt;
      });
}

std::optional<std::uint64_t> find_address(const module_offset& place) {
  return modules().with_current(
      [&](const std::vector<code_segment>& segments) -> std::optional<std::uint64_t> {
        for (const code_segment& one : segments) {
          if (one.module == place.module && place.offset - one.offset < one.size)
            return one.base + place.offset;
        }
        return std::nullopt;
      });
}

} // namespace fourfold::detail
