#pragma once

#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/ring.hpp>
#include <fourfold/process/detail/shared_memory.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fourfold::detail {

// Kinds of messages. Parent to worker:
enum class call_kind : std::uint32_t {
  function = 1,  ///< payload: code address, encoded arguments
  coroutine = 2, ///< the same, to be run on the worker's loop
  cancel = 3,    ///< no payload: cancel the coroutine with this number
  finish = 4,    ///< no payload: end when all calls have ended
};
// Worker to parent:
enum class result_kind : std::uint32_t {
  value = 1,     ///< payload: the encoded result
  exception = 2, ///< payload: an encoded exception
  begun = 3,     ///< no payload: the call of that number begins; if the pool wants to know
};
/// Set in a kind whose payload does not stand in the ring: it comes as a descriptor through the channel's
/// socket.
inline constexpr std::uint32_t through_descriptor = 0x100;
/// Set in the kind of a call whose begin the worker is to report, because it has a time limit.
inline constexpr std::uint32_t report_begin = 0x400;

/// Set in a kind whose values have attachments: their descriptors come through the socket as well, after that of
/// the payload, in one message with it.
inline constexpr std::uint32_t with_attachments = 0x200;

/// Whom a worker wakes when it has written a result.
enum class result_bell : std::uint32_t { none = 0, service = 1, driver = 2 };

/// The most descriptors that one message carries; the kernel's limit (SCM_MAX_FD).
inline constexpr std::size_t most_descriptors = 253;
/// What a call, a result or a message of a process_pipe may have of them; one more may carry its bytes.
inline constexpr std::size_t most_attachments = most_descriptors - 1;

/// What a worker and its pool share. Either side sleeps by this protocol: it announces the sleep in a flag
/// here, looks at its ring once more, and only then sleeps; the other side writes its message, then exchanges
/// the flag, and rings if it was set. Both steps on both sides are sequentially consistent, so at least one
/// side sees the other.
struct channel_header {
  ring_counters calls;
  ring_counters results;
  alignas(64) std::atomic<std::uint32_t> worker_sleeps{0};
  alignas(64) std::atomic<std::uint32_t> bell_wanted{0}; // a result_bell
  /// The pool found no room for a call: the worker rings the service before it sleeps.
  alignas(64) std::atomic<std::uint32_t> wants_call_room{0};
  /// The worker sleeps until results are read; it has rung both bells after setting this.
  std::atomic<std::uint32_t> wants_room{0};
  /// Set by the worker once it serves: a death before that is a failure to start.
  alignas(64) std::atomic<std::uint32_t> serves{0};
  /// Set by a worker that cannot hear when functions are told to stop; see cancellation_listener.
  std::atomic<std::uint32_t> deaf{0};
  /// The number, plus one, of the last function that was told to stop, and a futex word that counts the tellings.
  alignas(64) std::atomic<std::uint64_t> told{0};
  std::atomic<std::uint32_t> tellings{0};
  /// The system call, plus one, for which its sandbox has ended the worker.
  std::atomic<std::uint32_t> denied{0};
  /// Set by a worker that cannot serve, once it has said why: the next one could not either.
  std::atomic<std::uint32_t> cannot_serve{0};
  std::array<char, 512> why_not{};
};

inline constexpr std::size_t ring_bytes = std::size_t{256} * 1024;
inline constexpr std::size_t channel_header_bytes = 4096;
inline constexpr std::size_t channel_bytes = channel_header_bytes + 2 * ring_bytes;
static_assert(sizeof(channel_header) <= channel_header_bytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared memory needs atomics without locks");

/// The descriptors of a channel, in the order in which they travel to the worker.
struct channel_descriptors {
  unique_fd memory;       ///< channel_bytes of shared memory
  unique_fd worker_bell;  ///< eventfd that wakes the worker
  unique_fd driver_bell;  ///< eventfd that wakes a thread which waits for results itself
  unique_fd service_bell; ///< eventfd that wakes the pool's service thread
  unique_fd socket;       ///< carries descriptors of large messages
  static constexpr std::size_t count = 5;
};

/// What a worker that cannot serve exits with, once it has said why in its header.
inline constexpr int cannot_serve_status = 113;

/// The memory of a channel, seen from either side.
class channel_memory {
 public:
  explicit channel_memory(int fd) : mapping_(fd, channel_bytes, true) {}

  [[nodiscard]] channel_header& header() const noexcept {
    return *reinterpret_cast<channel_header*>(mapping_.data());
  }
  [[nodiscard]] std::span<std::byte> call_bytes() const noexcept {
    return mapping_.bytes().subspan(channel_header_bytes, ring_bytes);
  }
  [[nodiscard]] std::span<std::byte> result_bytes() const noexcept {
    return mapping_.bytes().subspan(channel_header_bytes + ring_bytes, ring_bytes);
  }

 private:
  shared_mapping mapping_;
};

/// What reading a bell does that was not rung, and ringing one that is full.
enum class bell_mode : bool { waits, returns };
/// An eventfd to ring.
[[nodiscard]] unique_fd make_bell(bell_mode mode);
/// Takes what was rung, sleeping until something was.
void sleep_at_bell(int bell) noexcept;
/// Rings an eventfd.
void ring_bell(int eventfd) noexcept;
/// Makes a pair of connected sockets that keep message boundaries, close on exec.
std::array<unique_fd, 2> make_socket_pair();

/// Sends one message with descriptors attached. False if the peer has gone, or (`wait` false) if it would
/// have to wait.
bool send_with_descriptors(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors,
                           bool wait);
/// What a receive found.
struct received_message {
  enum class state : std::uint8_t { message, nothing, closed };
  state what = state::nothing;
  std::size_t size = 0;
  std::array<unique_fd, most_descriptors> descriptors; ///< the received ones first
};
/// Throws `error` if `bytes` have more attachments than can travel with them.
void require_few_attachments(const byte_buffer& bytes);
/// Sends the descriptors of the message with this number: that of its payload (or -1) and its attachments. As
/// send_with_descriptors.
bool send_attached(int socket, std::uint64_t number, int payload, const byte_buffer& attached, bool wait);
/// Adds received descriptors as attachments.
void attach_received(byte_buffer& bytes, std::span<unique_fd> descriptors);
/// Receives one message into `buffer` (longer ones are cut, and more than the expected descriptors closed).
received_message receive_with_descriptors(int socket, std::span<std::byte> buffer, bool wait);

} // namespace fourfold::detail
