// Named blocks: System V segments without the part of System V by which they would stay behind.
//
// A segment that is marked for removal lives on while it is mapped, and on Linux can be mapped by more
// processes as long as they know its number. Its key, however, is gone. So a name is written into the segment
// itself, and whoever looks for it reads the few segments of the machine. The key serves as the lock of the
// name: who has made a segment with it alone looks whether the name is taken, and either names its own
// segment or removes it; both ends with the mark, and with the key free again.

#include <fourfold/process/detail/memory_block.hpp>
#include <fourfold/process/detail/system_call.hpp>

#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace fourfold::detail {
namespace {

/// The end of a segment.
struct name_plate {
  static constexpr std::uint64_t expected_magic = 0x66'6f'75'72'6e'61'6d'65; // "fourname"
  std::atomic<std::uint64_t> magic{0};                                       // set last
  std::uint64_t size = 0;
  char name[208]{};
};

constexpr std::size_t longest_name = sizeof(name_plate::name) - 1;

std::size_t rounded(std::size_t size) noexcept { return (size + 4095) & ~std::size_t{4095}; }
std::size_t whole(std::size_t size) noexcept { return rounded(size) + rounded(sizeof(name_plate)); }

key_t key_of(std::string_view name) noexcept {
  std::uint32_t hash = 2166136261U; // FNV-1a
  for (const char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  hash ^= static_cast<std::uint32_t>(::geteuid()) * 2654435761U;
  return static_cast<key_t>(hash == IPC_PRIVATE ? 1 : hash);
}

/// Maps a segment over a place that is reserved first: a mapping like any other, which munmap ends. Empty if
/// it has gone.
shared_mapping map_segment(int segment, std::size_t size) {
  void* const place = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED)
    throw_errno("mmap of shared memory");
  if (::shmat(segment, place, SHM_REMAP) == place)
    return {static_cast<std::byte*>(place), size};
  const int reason = errno;
  ::munmap(place, size);
  if (reason == EINVAL || reason == EIDRM || reason == EACCES)
    return {};
  throw_errno("shmat", reason);
}

/// Whether it is one of ours: marked for removal, and by nobody else.
bool is_block(const shmid_ds& status) noexcept {
  return (status.shm_perm.mode & SHM_DEST) != 0 && status.shm_perm.cuid == ::geteuid() &&
         status.shm_perm.uid == ::geteuid() && status.shm_segsz > rounded(sizeof(name_plate)) &&
         status.shm_segsz % 4096 == 0;
}

name_plate& plate_of(const shared_mapping& mapping) noexcept {
  return *reinterpret_cast<name_plate*>(mapping.data() + mapping.bytes().size() -
                                        rounded(sizeof(name_plate)));
}

/// Gives it its pages now, so that no write to them can fail later. Before Linux 5.14 they come when they are used.
void set_aside(const shared_mapping& mapping) {
  if (mapping.data() == nullptr ||
      (::madvise(mapping.data(), mapping.bytes().size(), MADV_POPULATE_WRITE) != 0 && errno != EINVAL))
    throw_errno("setting aside shared memory", ENOMEM);
}

struct found_block {
  int segment = -1;
  shared_mapping mapping;
};

found_block find(std::string_view name) {
  struct shm_info info{};
  const int last = ::shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&info));
  for (int i = 0; i <= last; ++i) {
    shmid_ds status{};
    const int segment = ::shmctl(i, SHM_STAT, &status);
    if (segment < 0 || !is_block(status))
      continue;
    shared_mapping mapping = map_segment(segment, status.shm_segsz);
    if (mapping.data() == nullptr)
      continue;
    // Acquire: the rest of the plate; pairs with the release in write_plate().
    if (plate_of(mapping).magic.load(std::memory_order_acquire) == name_plate::expected_magic &&
        std::string_view(plate_of(mapping).name, ::strnlen(plate_of(mapping).name, longest_name)) == name)
      return {segment, std::move(mapping)};
  }
  return {};
}

void write_plate(name_plate& plate, std::string_view name, std::size_t size) noexcept {
  std::copy(name.begin(), name.end(), plate.name);
  plate.size = size;
  plate.magic.store(name_plate::expected_magic, std::memory_order_release);
}

std::shared_ptr<memory_block> checked_block(found_block found, std::size_t size) {
  if (found.mapping.bytes().size() != whole(size) || plate_of(found.mapping).size != size)
    throw_errno("a named block of shared memory has another size", EINVAL);
  found.mapping.show(size);
  return std::make_shared<memory_block>(unique_fd(), std::move(found.mapping));
}

/// Who made the segment with this key may have died before it could mark it.
void remove_if_abandoned(key_t key) noexcept {
  const int segment = ::shmget(key, 0, 0);
  shmid_ds status{};
  if (segment >= 0 && ::shmctl(segment, IPC_STAT, &status) == 0 && status.shm_nattch == 0 &&
      ::kill(status.shm_cpid, 0) != 0 && errno == ESRCH)
    ::shmctl(segment, IPC_RMID, nullptr);
}

} // namespace

std::shared_ptr<memory_block> named_block(std::string_view name, std::size_t size, naming how) {
  if (name.empty() || name.size() > 200 || name.find('\0') != std::string_view::npos || size == 0 ||
      size > std::size_t{1} << 60)
    throw_errno("the name or the size of shared memory", EINVAL);
  const key_t key = key_of(name);
  for (;;) {
    if (how != naming::create) {
      if (found_block found = find(name); found.segment >= 0)
        return checked_block(std::move(found), size);
      if (how == naming::open)
        throw_errno("no shared memory has this name", ENOENT);
    }
    require_memory(size);
    const int segment = ::shmget(key, whole(size), IPC_CREAT | IPC_EXCL | 0600);
    if (segment < 0) {
      if (errno != EEXIST)
        throw_errno("shmget", errno == ENOSPC ? ENOMEM : errno);
      // Somebody is between the two calls, which takes microseconds; or another name has this key.
      remove_if_abandoned(key);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      continue;
    }
    // From here on the name is ours alone, until the mark.
    shared_mapping mapping;
    found_block found;
    try {
      mapping = map_segment(segment, whole(size));
      found = find(name);
      if (found.segment < 0)
        set_aside(mapping);
    } catch (...) {
      ::shmctl(segment, IPC_RMID, nullptr);
      throw;
    }
    if (found.segment < 0)
      write_plate(plate_of(mapping), name, size);
    // Marked and named, or marked and gone with its mapping: between the two calls above and this one is all
    // the time in which a death leaves something behind, which the next one to use the name removes.
    ::shmctl(segment, IPC_RMID, nullptr);
    if (found.segment < 0)
      return checked_block({segment, std::move(mapping)}, size);
    if (how == naming::create)
      throw_errno("a block of shared memory with this name exists", EEXIST);
    return checked_block(std::move(found), size);
  }
}

} // namespace fourfold::detail
