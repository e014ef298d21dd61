#pragma once

#include <fourfold/base/codec.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fourfold::detail {

/// The counters of a ring, in memory that both processes write. `written` and `read` count bytes since the
/// start.
struct ring_counters {
  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) std::atomic<std::uint64_t> read{0};
};

/// What stands before each message in a ring; a multiple of 8 bytes, as every message's room is.
struct message_header {
  std::uint32_t size = 0; ///< of the payload
  std::uint32_t kind = 0;
  std::uint64_t number = 0;   ///< the call's number on this worker
  std::uint64_t duration = 0; ///< a result: nanoseconds the call took
};

/// Says that the other side of a ring wrote what cannot be.
class ring_corrupted : public decode_error {
 public:
  using decode_error::decode_error;
};

/// One end of a single-producer, single-consumer ring of messages between two processes. Each end keeps its
/// own position privately and believes of the shared memory only the other's counter, read once and checked
/// against its own: a peer that scribbles can make the ring throw ring_corrupted or carry garbage bytes,
/// which the codec then refuses, but never make it touch anything outside of the ring.
class ring_end {
 public:
  /// `bytes` is a power of two of at least 4096, 8-aligned.
  ring_end(ring_counters& counters, std::span<std::byte> bytes) noexcept
      : counters_(&counters), bytes_(bytes) {}

 protected:
  [[nodiscard]] std::size_t capacity() const noexcept { return bytes_.size(); }
  [[nodiscard]] static std::uint64_t room_of(std::size_t payload) noexcept {
    return sizeof(std::uint64_t) + sizeof(message_header) + ((payload + 7) & ~std::size_t{7});
  }
  [[nodiscard]] std::byte* at(std::uint64_t position) const noexcept {
    return bytes_.data() + (position & (bytes_.size() - 1));
  }
  /// The word in front of a message, by which a call is claimed by its worker or taken back by the parent.
  [[nodiscard]] std::atomic_ref<std::uint32_t> claim_at(std::uint64_t position) const noexcept {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(at(position)));
  }
  void copy_in(std::uint64_t position, std::span<const std::byte> from) const noexcept;
  void copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept;

  ring_counters* counters_;
  std::span<std::byte> bytes_;
  std::uint64_t position_ = 0;
};

/// Who has a message that stands in the ring.
enum class claim : std::uint32_t { offered = 0, taken = 1, revoked = 2 };

class ring_writer : public ring_end {
 public:
  using ring_end::ring_end;

  /// The largest payload that goes through the ring; what is larger goes through a descriptor.
  [[nodiscard]] std::size_t largest_payload() const noexcept { return capacity() / 4; }
  /// Writes a message and publishes it; false if there is no room now. Throws ring_corrupted.
  [[nodiscard]] bool write(const message_header& header, std::span<const std::byte> payload);
  /// Where the next message will stand.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

  /// Takes a message back that the reader has not claimed: true, and it will be skipped.
  [[nodiscard]] bool revoke(std::uint64_t position) noexcept;
  /// Whether the reader has claimed or passed the message that was written at `position`.
  [[nodiscard]] bool was_taken(std::uint64_t position) const noexcept;
};

class ring_reader : public ring_end {
 public:
  using ring_end::ring_end;

  /// Whether a message stands there; sequentially consistent, for the sleep protocol.
  [[nodiscard]] bool empty() const noexcept { return counters_->written.load() == position_; }
  enum class revoked : bool { is_skipped, is_corrupt };
  /// Claims and reads the next message, its payload into `payload`; false if there is none. Throws
  /// ring_corrupted.
  [[nodiscard]] bool read(message_header& header, byte_buffer& payload,
                          revoked message = revoked::is_skipped);
};

} // namespace fourfold::detail
