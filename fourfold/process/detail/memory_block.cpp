#include <fourfold/process/detail/memory_block.hpp>
#include <fourfold/process/detail/system_call.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <limits>
#include <string>

namespace fourfold::detail {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

/// Asks for huge pages; a system that has none to give leaves the small ones.
void prefer_huge_pages(const shared_mapping& mapping) noexcept {
  const int saved_errno = errno;
  if (mapping.bytes().size() >= huge_page)
    ::madvise(mapping.data(), mapping.bytes().size(), MADV_HUGEPAGE);
  errno = saved_errno;
}

/// Gives the file its pages now, so that no write to them can fail later.
void set_aside(int file, std::size_t from, std::size_t size) {
  require_memory(size - from);
  while (::fallocate(file, 0, static_cast<off_t>(from), static_cast<off_t>(size - from)) != 0) {
    if (errno != EINTR)
      throw_errno("setting aside shared memory", errno == ENOSPC ? ENOMEM : errno);
  }
}

std::size_t size_of(int file) noexcept {
  struct stat status{};
  return ::fstat(file, &status) == 0 && status.st_size > 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

} // namespace

void require_memory(std::size_t size) {
  constexpr std::size_t always_tried = std::size_t{16} << 20;
  if (size < always_tried)
    return;
  // The kernel would take what it has, and kill somebody when there is no more.
  std::ifstream info("/proc/meminfo");
  std::size_t available = 0;
  std::string key;
  std::size_t kibibytes = 0;
  for (std::string unit; info >> key >> kibibytes; std::getline(info, unit)) {
    if (key == "MemAvailable:" || key == "SwapFree:")
      available += kibibytes;
  }
  if (available != 0 && size / 1024 > available)
    throw_errno("setting aside shared memory", ENOMEM);
}

std::shared_ptr<memory_block> memory_block::make(std::size_t size) {
  if (size == 0 || size > static_cast<std::size_t>(std::numeric_limits<off_t>::max()))
    throw_errno("the size of shared memory", EINVAL);
  unique_fd file(checked(::memfd_create("fourfold-block", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
  set_aside(file.get(), 0, size);
  checked(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK), "sealing shared memory");
  shared_mapping mapping(file.get(), size, true);
  prefer_huge_pages(mapping);
  return std::make_shared<memory_block>(std::move(file), std::move(mapping));
}

std::shared_ptr<memory_block> memory_block::receive(decoder& in, std::size_t size, memory_access access) {
  const std::shared_ptr<const attachment> received = in.next_attachment();
  const int seals = ::fcntl(received->fd(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    in.fail("what came as shared memory could be pulled away by its sender");
  const bool frozen = (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
  if (frozen != (access == memory_access::frozen))
    in.fail("shared memory came frozen that should be writable, or writable that should be frozen");
  if (size == 0 || size_of(received->fd()) < size)
    in.fail("shared memory came with another size than said");
  auto known = std::const_pointer_cast<memory_block>(std::dynamic_pointer_cast<const memory_block>(received));
  if (known != nullptr && known->writable_ != frozen) {
    if (access == memory_access::owned)
      known->grow(size);
    if (known->size() >= size)
      return known;
  }
  unique_fd file(checked(::fcntl(received->fd(), F_DUPFD_CLOEXEC, 0), "duplicating a descriptor"));
  shared_mapping mapping(file.get(), size, !frozen);
  prefer_huge_pages(mapping);
  auto block = std::make_shared<memory_block>(std::move(file), std::move(mapping));
  block->writable_ = !frozen;
  return block;
}

void memory_block::grow(std::size_t wanted) {
  if (wanted <= size())
    return;
  const std::size_t there = size_of(fd());
  if (there < wanted)
    set_aside(fd(), there, wanted);
  mapping_.grow(wanted);
  prefer_huge_pages(mapping_);
}

void memory_block::freeze() {
  if (!writable_)
    return;
  checked(::mprotect(data(), size(), PROT_READ), "freezing shared memory");
  checked(::fcntl(fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK),
          "sealing shared memory");
  writable_ = false;
}

bool memory_block::stands_for(int received) const noexcept {
  struct stat mine{};
  struct stat other{};
  return fd() >= 0 && ::fstat(fd(), &mine) == 0 && ::fstat(received, &other) == 0 &&
         mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

} // namespace fourfold::detail
