#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/process/detail/ring.hpp>
#include <fourfold/process/process_mutex.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fourfold::detail {

/// What the users of a shared_ring have in common. `written` and `read` count bytes since the start.
struct shared_ring_header {
  alignas(64) process_mutex putting;
  std::uint64_t read_seen = 0; // guarded by `putting`: saves most looks at the other side's cache line
  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) process_mutex getting;
  std::uint64_t written_seen = 0; // guarded by `getting`
  alignas(64) std::atomic<std::uint64_t> read{0};
  /// How many sleep until there is an item, and until there is room.
  alignas(64) std::atomic<std::uint32_t> getters_asleep{0};
  std::atomic<std::uint32_t> putters_asleep{0};
  std::atomic<std::uint32_t> closed{0};
};

/// A ring of items between any number of processes: one lock for those who put, one for those who get, so
/// that the two sides meet only in the two counters. An item is published by one store, after its bytes, and
/// taken by one store, after it has been copied: whoever is killed at whichever instruction leaves the ring as
/// before or after, and its lock to the next one. Items are `record` bytes each, or of any size if that is 0.
///
/// Of the shared bytes nothing is believed: counters and sizes are checked before they are used, and
/// ring_corrupted is thrown for what cannot be.
class shared_ring {
 public:
  shared_ring() noexcept = default;
  /// `bytes`: ring_bytes(limit) of them. `limit`: how many of them may be in use, a multiple of 8.
  shared_ring(shared_ring_header& header, std::span<std::byte> bytes, std::size_t limit,
              std::size_t record) noexcept
      : header_(&header), bytes_(bytes), limit_(limit), record_(record) {}

  /// A power of two.
  [[nodiscard]] static std::size_t ring_bytes(std::size_t limit) noexcept;
  /// How much of the limit an item of `size` bytes uses.
  [[nodiscard]] std::size_t room_of(std::size_t size) const noexcept {
    return (record_ == 0 ? sizeof(std::uint64_t) : 0) + ((size + 7) & ~std::size_t{7});
  }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  /// False if there is no room. `limit` is for the lock.
  [[nodiscard]] bool try_put(std::span<const std::byte> item, const wait_limit& limit);
  /// False if there is no item. The first fills `into`, of the record's size; the second appends.
  [[nodiscard]] bool try_get(std::span<std::byte> into, const wait_limit& limit);
  [[nodiscard]] bool try_get(byte_buffer& into, const wait_limit& limit);

  // Sequentially consistent, for the sleep protocol (see queue_end).
  [[nodiscard]] bool has_item() const noexcept { return header_->written.load() != header_->read.load(); }
  [[nodiscard]] bool has_room(std::size_t room) const noexcept {
    return header_->written.load() - header_->read.load() <= limit_ - room;
  }
  [[nodiscard]] bool closed() const noexcept { return header_->closed.load() != 0; }
  [[nodiscard]] shared_ring_header& header() const noexcept { return *header_; }

 private:
  template <class Read>
  bool take(Read&& read, const wait_limit& limit);
  void copy_in(std::uint64_t position, std::span<const std::byte> from) const noexcept;
  void copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept;

  shared_ring_header* header_ = nullptr;
  std::span<std::byte> bytes_;
  std::size_t limit_ = 0;
  std::size_t record_ = 0;
};

} // namespace fourfold::detail
