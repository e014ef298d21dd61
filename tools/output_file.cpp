#include "output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "errors.hpp"
#include "terminal.hpp"

namespace fourfold::tool {

output_file::output_file(std::string path, std::size_t expected_bytes) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  created_ = descriptor_ >= 0;
  if (!created_ && errno == EEXIST)
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    fail(errno);

  struct stat status{};
  regular_ = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular_)
    return;
  const int failure = ::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(expected_bytes));
  // File systems that cannot reserve say so; then write() finds a full disk.
  if (failure != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
    const int code = errno;
    if (created_)
      ::unlink(path_.c_str());
    ::close(descriptor_);
    fail(code);
  }
}

output_file::~output_file() {
  if (descriptor_ < 0)
    return;
  ::close(descriptor_);
  if (created_)
    ::unlink(path_.c_str());
}

void output_file::write(std::string_view text) {
  if (regular_ && ::ftruncate(descriptor_, 0) != 0)
    fail(errno);
  if (!write_all(descriptor_, text))
    fail(errno);
  // Some file systems (NFS, quotas) report a full disk only now. A pipe or a terminal cannot be synced:
  // EINVAL.
  if (regular_ && ::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS)
    fail(errno);
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0)
    fail(errno);
}

void output_file::fail(int code) {
  throw usage_error(fmt::format("cannot write {}: {}", path_, std::generic_category().message(code)));
}

} // namespace fourfold::tool
