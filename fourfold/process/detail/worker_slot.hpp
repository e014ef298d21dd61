#pragma once

#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/process/detail/ring.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace fourfold::detail {

/// One worker as its pool sees it: the channel to it and the calls it holds. A replacement is a new
/// generation in the same slot, with a new channel: nothing that a dead worker wrote late can reach it.
class worker_slot {
 public:
  worker_slot(std::uint32_t index, int driver_bell, int service_bell) noexcept
      : index_(index), driver_bell_(driver_bell), service_bell_(service_bell) {}

  /// Makes a new channel, for the next generation. Calls may be written into it before the process exists.
  /// `bell` is whom it wakes with its first result. Throws std::system_error.
  void open(result_bell bell);
  /// The descriptors to hand to the template for it.
  [[nodiscard]] const channel_descriptors& worker_end() const noexcept { return worker_end_; }
  /// They have been: only the worker's bell is still needed here.
  void handed_over() noexcept;
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return memory_.has_value(); }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  [[nodiscard]] bool has_served() const noexcept { return memory_->header().serves.load() != 0; }

  /// Its process exists.
  void started(pid_t pid, unique_fd pidfd) noexcept;
  /// The process, or -1 while there is none.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// It wrote garbage: it is killed, gets no more calls, and nothing that it writes is read.
  void condemn() noexcept;
  [[nodiscard]] bool is_believed() const noexcept { return is_open() && !condemned_; }

  // Handing over calls; all under the pool's lock.

  /// Writes the call's message; false if there is no room for it now, or the worker has turned out to be
  /// corrupt.
  [[nodiscard]] bool assign(process_call& call) noexcept;
  /// Takes a call back that the worker has not begun.
  [[nodiscard]] bool take_back(process_call& call) noexcept;
  /// The call with this number, taken off the books; null if there is none.
  [[nodiscard]] process_call* ended(std::uint64_t number) noexcept;
  /// At the worker's end: whether it had begun the call. If not it never will, even if it is not quite dead yet.
  [[nodiscard]] bool had_begun(const process_call& call) noexcept {
    return !calls_->revoke(call.ring_position);
  }
  /// Sends a message without a call: cancel, finish. False if there is no room now.
  [[nodiscard]] bool send(call_kind kind, std::uint64_t number) noexcept;
  /// Calls it holds, by number; null: ended.
  [[nodiscard]] std::deque<process_call*>& assigned() noexcept { return assigned_; }
  [[nodiscard]] std::size_t functions() const noexcept { return functions_; }
  [[nodiscard]] std::size_t coroutines() const noexcept { return coroutines_; }

  /// Wakes the worker if it sleeps. Any thread that holds the lock or the pump.
  void wake() const noexcept;
  void want_bell(result_bell bell) const noexcept {
    memory_->header().bell_wanted.store(static_cast<std::uint32_t>(bell));
  }

  // Results; for who holds the pump.

  [[nodiscard]] bool has_result() const noexcept { return !results_->empty(); }
  /// The next result; throws decode_error for garbage. Its bytes are in `payload()` until the next one.
  [[nodiscard]] bool next_result(message_header& header);
  /// Throws what mapping a large one throws: std::system_error, or decode_error for one that is not sealed.
  [[nodiscard]] std::span<const std::byte> payload();
  /// Wakes a worker that sleeps until there is room for a result. After every reading.
  void give_room() const noexcept;

 private:
  bool write(const message_header& header, std::span<const std::byte> payload) noexcept;
  bool send_descriptor(int large_payload, std::uint64_t position) noexcept;
  void count(const process_call& call, std::size_t one) noexcept;

  std::uint32_t index_;
  int driver_bell_;
  int service_bell_;
  std::uint32_t generation_ = 0;
  pid_t pid_ = -1;
  unique_fd pidfd_;
  std::atomic<bool> condemned_{false}; // set under the lock, read also by who holds the pump
  channel_descriptors worker_end_;
  unique_fd socket_;
  std::optional<channel_memory> memory_;
  std::optional<ring_writer> calls_;
  std::optional<ring_reader> results_;
  std::deque<process_call*> assigned_;
  std::uint64_t first_number_ = 0; // that of assigned_.front()
  std::size_t functions_ = 0;
  std::size_t coroutines_ = 0;
  byte_buffer payload_;
  unique_fd large_descriptor_;
  shared_mapping large_payload_;
};

} // namespace fourfold::detail
