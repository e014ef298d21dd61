#include "works/folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "errors.hpp"

namespace fourfold::tool {
namespace {

namespace fs = std::filesystem;

void add_file(const fs::path& path, folder& found) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
  if (file < 0) {
    found.skipped.push_back(fmt::format("{}: {}", path.string(), std::generic_category().message(errno)));
    return;
  }
  ::close(file);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  found.files.push_back({path.string(), size});
  found.bytes += size;
}

} // namespace

folder read_folder(const std::string& path, bool first_only) {
  std::error_code failure;
  if (!fs::is_directory(path, failure)) {
    throw usage_error(
        fmt::format("cannot read {}: {}", path, failure ? failure.message() : "it is not a folder"));
  }
  folder found;
  std::vector<fs::path> folders{path};
  while (!folders.empty()) {
    const fs::path current = folders.back();
    folders.pop_back();
    fs::directory_iterator entries(current, failure);
    if (failure && current == path)
      throw usage_error(fmt::format("cannot read {}: {}", path, failure.message()));
    if (failure)
      found.skipped.push_back(fmt::format("{}: {}", current.string(), failure.message()));
    for (; !failure && entries != fs::directory_iterator(); entries.increment(failure)) {
      std::error_code ignored;
      if (entries->symlink_status(ignored).type() == fs::file_type::directory) {
        folders.push_back(entries->path());
      } else {
        add_file(entries->path(), found);
      }
      if (first_only && !found.files.empty())
        return found;
    }
  }
  std::sort(found.files.begin(), found.files.end(),
            [](const file_job& left, const file_job& right) { return left.path < right.path; });
  std::sort(found.skipped.begin(), found.skipped.end());
  return found;
}

} // namespace fourfold::tool
