#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/shared_memory.hpp>
#include <fourfold/process/detail/system_call.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

namespace fourfold::detail {

shared_mapping::shared_mapping(int fd, std::size_t size, bool writable) : size_(size), mapped_(size) {
  if (size == 0)
    return;
  void* place = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (place == MAP_FAILED)
    throw_errno("mmap of shared memory");
  data_ = static_cast<std::byte*>(place);
}

shared_mapping::~shared_mapping() {
  if (data_ != nullptr)
    ::munmap(data_, mapped_);
}

void shared_mapping::grow(std::size_t size) {
  void* place = ::mremap(data_, mapped_, size, MREMAP_MAYMOVE);
  if (place == MAP_FAILED)
    throw_errno("mremap of shared memory");
  data_ = static_cast<std::byte*>(place);
  size_ = mapped_ = size;
}

unique_fd make_shared_memory(const char* name, std::size_t size) {
  unique_fd fd(checked(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
  checked(::ftruncate(fd.get(), static_cast<off_t>(size)), "ftruncate of shared memory");
  // Whoever shares it cannot pull the pages from under another's mapping.
  checked(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "sealing shared memory");
  return fd;
}

unique_fd make_sealed_message(std::span<const std::byte> bytes) {
  unique_fd fd = make_shared_memory("fourfold-message", bytes.size());
  {
    const shared_mapping mapping(fd.get(), bytes.size(), true);
    if (!bytes.empty())
      std::memcpy(mapping.data(), bytes.data(), bytes.size());
  }
  checked(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_WRITE), "sealing shared memory");
  return fd;
}

shared_mapping map_sealed_message(int fd) {
  constexpr int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  struct stat status{};
  if (seals < 0 || (seals & wanted) != wanted || ::fstat(fd, &status) != 0) {
    throw decode_error("a large message is not in sealed memory");
  }
  return {fd, static_cast<std::size_t>(status.st_size), false};
}

} // namespace fourfold::detail
