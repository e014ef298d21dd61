#include <fourfold/process/detail/shared_ring.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace fourfold::detail {
namespace {

/// Holds one side's lock. That the holder before died needs no repair: see the class.
class side_lock {
 public:
  side_lock(process_mutex& mutex, const wait_limit& limit) : mutex_(mutex) {
    static_cast<void>(mutex.lock(limit));
  }
  ~side_lock() { mutex_.unlock(); }
  side_lock(const side_lock&) = delete;
  side_lock& operator=(const side_lock&) = delete;

 private:
  process_mutex& mutex_;
};

} // namespace

std::size_t shared_ring::ring_bytes(std::size_t limit) noexcept {
  return std::bit_ceil(std::max<std::size_t>(limit, 64));
}

void shared_ring::copy_in(std::uint64_t position, std::span<const std::byte> from) const noexcept {
  const std::size_t place = position & (bytes_.size() - 1);
  const std::size_t first = std::min(from.size(), bytes_.size() - place);
  if (first != 0)
    std::memcpy(bytes_.data() + place, from.data(), first);
  if (first < from.size())
    std::memcpy(bytes_.data(), from.data() + first, from.size() - first);
}

void shared_ring::copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept {
  const std::size_t place = position & (bytes_.size() - 1);
  const std::size_t first = std::min(to.size(), bytes_.size() - place);
  if (first != 0)
    std::memcpy(to.data(), bytes_.data() + place, first);
  if (first < to.size())
    std::memcpy(to.data() + first, bytes_.data(), to.size() - first);
}

bool shared_ring::try_put(std::span<const std::byte> item, const wait_limit& limit) {
  const std::size_t room = room_of(item.size());
  const side_lock guard(header_->putting, limit);
  // Relaxed: only who holds the lock writes it.
  std::uint64_t position = header_->written.load(std::memory_order_relaxed);
  if (position - header_->read_seen > limit_ - room) {
    // Acquire: whoever read those bytes is done with them; pairs with the store in take().
    header_->read_seen = header_->read.load(std::memory_order_acquire);
    const std::uint64_t in_use = position - header_->read_seen;
    if (in_use > limit_)
      throw ring_corrupted("a queue between processes holds an impossible position");
    if (in_use > limit_ - room)
      return false;
  }
  const std::uint64_t next = position + room;
  if (record_ == 0) {
    const std::uint64_t size = item.size();
    copy_in(position, std::as_bytes(std::span(&size, 1)));
    position += sizeof size;
  }
  copy_in(position, item);
  // Sequentially consistent: publishes the item, and takes part in the sleep protocol.
  header_->written.store(next);
  return true;
}

template <class Read>
bool shared_ring::take(Read&& read, const wait_limit& limit) {
  const side_lock guard(header_->getting, limit);
  const std::uint64_t position = header_->read.load(std::memory_order_relaxed);
  // Acquire: pairs with the publishing store in try_put().
  if (header_->written_seen == position)
    header_->written_seen = header_->written.load(std::memory_order_acquire);
  const std::uint64_t available = header_->written_seen - position;
  if (available == 0)
    return false;
  if (available > limit_ || (position & 7) != 0)
    throw ring_corrupted("a queue between processes holds an impossible position");
  const std::size_t room = read(position, available);
  // Sequentially consistent: the bytes may be written over; takes part in the sleep protocol.
  header_->read.store(position + room);
  return true;
}

bool shared_ring::try_get(std::span<std::byte> into, const wait_limit& limit) {
  const auto read = [&](std::uint64_t position, std::uint64_t available) {
    if (available < room_of(into.size()))
      throw ring_corrupted("a queue between processes holds less than an item");
    copy_out(position, into);
    return room_of(into.size());
  };
  return take(read, limit);
}

bool shared_ring::try_get(byte_buffer& into, const wait_limit& limit) {
  const auto read = [&](std::uint64_t position, std::uint64_t available) {
    std::uint64_t size = 0;
    copy_out(position, std::as_writable_bytes(std::span(&size, 1)));
    if (available < sizeof size || size > available - sizeof size || room_of(size) > available)
      throw ring_corrupted("a queue between processes holds an item longer than its bytes");
    copy_out(position + sizeof size, {into.extend(size), size});
    return room_of(size);
  };
  return take(read, limit);
}

} // namespace fourfold::detail
