#include <fourfold/process/detail/ring.hpp>

#include <algorithm>
#include <cstring>

namespace fourfold::detail {

void ring_end::copy_in(std::uint64_t position, std::span<const std::byte> from) const noexcept {
  const std::size_t until_wrap = static_cast<std::size_t>(bytes_.data() + bytes_.size() - at(position));
  const std::size_t first = std::min(from.size(), until_wrap);
  if (first != 0)
    std::memcpy(at(position), from.data(), first);
  if (first < from.size())
    std::memcpy(bytes_.data(), from.data() + first, from.size() - first);
}

void ring_end::copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept {
  const std::size_t until_wrap = static_cast<std::size_t>(bytes_.data() + bytes_.size() - at(position));
  const std::size_t first = std::min(to.size(), until_wrap);
  if (first != 0)
    std::memcpy(to.data(), at(position), first);
  if (first < to.size())
    std::memcpy(to.data() + first, bytes_.data(), to.size() - first);
}

bool ring_writer::write(const message_header& header, std::span<const std::byte> payload) {
  // Acquire: the reader is done with the bytes it has counted as read. Pairs with the release in
  // ring_reader::read().
  const std::uint64_t read = counters_->read.load(std::memory_order_acquire);
  const std::uint64_t in_use = position_ - read;
  if (in_use > capacity())
    throw ring_corrupted("a ring holds an impossible read position");
  const std::uint64_t room = room_of(payload.size());
  if (capacity() - in_use < room)
    return false;
  claim_at(position_).store(static_cast<std::uint32_t>(claim::offered), std::memory_order_relaxed);
  std::uint64_t place = position_ + sizeof(std::uint64_t);
  copy_in(place, std::as_bytes(std::span(&header, 1)));
  place += sizeof header;
  copy_in(place, payload);
  position_ += room;
  // Sequentially consistent: publishes the message, and takes part in the sleep protocol (see
  // worker_channel).
  counters_->written.store(position_);
  return true;
}

bool ring_writer::revoke(std::uint64_t position) noexcept {
  if (was_taken(position))
    return false;
  auto expected = static_cast<std::uint32_t>(claim::offered);
  // Relaxed: no data follows from it; only who got it matters.
  return claim_at(position).compare_exchange_strong(expected, static_cast<std::uint32_t>(claim::revoked),
                                                    std::memory_order_relaxed);
}

bool ring_writer::was_taken(std::uint64_t position) const noexcept {
  // Once the reader's counter has passed it, the room may hold a later message. Before, the word tells.
  // Whatever cannot be was written by a corrupt reader, which may have done anything with the message, so it
  // counts as taken.
  const std::uint64_t read = counters_->read.load(std::memory_order_acquire);
  const std::uint64_t unread = position_ - read;
  if (unread > capacity() || unread < position_ - position)
    return true;
  const std::uint32_t word = claim_at(position).load(std::memory_order_relaxed);
  return word != static_cast<std::uint32_t>(claim::offered) &&
         word != static_cast<std::uint32_t>(claim::revoked);
}

bool ring_reader::read(message_header& header, byte_buffer& payload, revoked message) {
  for (;;) {
    // Acquire: pairs with the publishing store in write().
    const std::uint64_t available = counters_->written.load(std::memory_order_acquire) - position_;
    if (available == 0)
      return false;
    if (available > capacity() || available < room_of(0))
      throw ring_corrupted("a ring holds an impossible write position");
    auto expected = static_cast<std::uint32_t>(claim::offered);
    const bool claimed = claim_at(position_).compare_exchange_strong(
        expected, static_cast<std::uint32_t>(claim::taken), std::memory_order_relaxed);
    if (!claimed && message == revoked::is_corrupt)
      throw ring_corrupted("a ring holds a message that was taken back where nobody takes any back");
    copy_out(position_ + sizeof(std::uint64_t), std::as_writable_bytes(std::span(&header, 1)));
    if (room_of(header.size) > available)
      throw ring_corrupted("a ring holds a message longer than its bytes");
    if (claimed) {
      payload.clear();
      copy_out(position_ + sizeof(std::uint64_t) + sizeof header, {payload.extend(header.size), header.size});
    }
    position_ += room_of(header.size);
    // Release: the bytes may be written over. Pairs with the acquire in write().
    counters_->read.store(position_, std::memory_order_release);
    if (claimed)
      return true;
  }
}

} // namespace fourfold::detail
