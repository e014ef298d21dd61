#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/resident_memory.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace fourfold::detail {

std::size_t resident_memory(pid_t pid) noexcept {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/statm", static_cast<int>(pid));
  const unique_fd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0)
    return 0;
  // "size resident shared ...", in pages.
  const char* const end = text.data() + size;
  std::size_t whole = 0;
  const auto [at, error] = std::from_chars(text.data(), end, whole);
  std::size_t resident = 0;
  if (error != std::errc() || at == end || std::from_chars(at + 1, end, resident).ec != std::errc())
    return 0;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace fourfold::detail
