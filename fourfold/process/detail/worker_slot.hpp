#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/process/detail/ring.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace fourfold::detail {

/// One worker as its pool sees it: the channel to it and the calls it holds. A replacement is a new
/// generation in the same slot, with a new channel: nothing that a dead worker wrote late can reach it.
///
/// A pool has more slots than places: when a worker is to be recycled, its successor begins in a slot of its own,
/// first on standby, and the old slot is closed once its worker has ended what it had.
class worker_slot {
 public:
  worker_slot(std::uint32_t index, int driver_bell, int service_bell, bell_mode mode) noexcept
      : index_(index), driver_bell_(driver_bell), service_bell_(service_bell), bell_mode_(mode) {}

  /// Makes a new channel, for the next generation. Calls may be written into it before the process exists.
  /// `bell` is whom it wakes with its first result; `most_calls` how many calls it takes. Throws
  /// std::system_error.
  void open(result_bell bell, std::uint64_t most_calls);
  /// The descriptors to hand to the template for it.
  [[nodiscard]] const channel_descriptors& worker_end() const noexcept { return worker_end_; }
  /// They have been: only the worker's bell is still needed here.
  void handed_over() noexcept;
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return memory_.has_value(); }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  [[nodiscard]] bool has_served() const noexcept { return memory_->header().serves.load() != 0; }

  /// Why it could not serve, in its own words; empty if it has not said so.
  [[nodiscard]] std::string why_not_serving() const;
  /// The system call, plus one, that its sandbox ended it for, if it says the truth.
  [[nodiscard]] std::uint32_t denied_call() const noexcept { return memory_->header().denied.load(); }

  /// Its process exists.
  void started(pid_t pid, unique_fd pidfd) noexcept;
  /// The process, or -1 while there is none.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// It wrote garbage: it is killed, gets no more calls, and nothing that it writes is read.
  void condemn() noexcept;
  [[nodiscard]] bool is_believed() const noexcept { return is_open() && !condemned_; }
  /// Kills its process, now or as soon as there is one. It gets no more calls; results that it has written are
  /// read.
  void kill() noexcept;
  /// That was done, and not because it wrote garbage.
  [[nodiscard]] bool was_killed_sane() const noexcept { return killed_ && !condemned_; }

  // Which worker of the pool it is, and its part in recycling.

  enum class duty : std::uint8_t {
    none,    ///< closed, and to stay so
    standby, ///< becomes the successor of another one, and gets no calls before
    serving,
    retiring, ///< gets no more calls, and ends when it has ended what it has
  };
  [[nodiscard]] duty has_duty() const noexcept { return duty_; }
  void set_duty(duty now) noexcept { duty_ = now; }
  /// From 0: the number in its name.
  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  void set_place(std::uint32_t place) noexcept { place_ = place; }
  [[nodiscard]] bool takes_calls() const noexcept {
    return is_believed() && duty_ == duty::serving && !killed_ && handed_ < most_calls_ && owed_ == nullptr;
  }
  /// How many more calls it may be handed.
  [[nodiscard]] std::uint64_t calls_left() const noexcept { return most_calls_ - handed_; }
  /// The memory of its process has passed the limit.
  bool outgrown = false;
  /// The message that tells it to end has been written.
  bool told_to_finish = false;
  clock::time_point memory_looked_at;

  // Handing over calls; all under the pool's lock.

  /// Writes the call's message; false if there is no room for it now, or the worker has turned out to be
  /// corrupt.
  [[nodiscard]] bool assign(process_call& call) noexcept;
  /// Whether descriptors of a call could not be sent now, as too many are in flight or memory is short. Forgets it.
  [[nodiscard]] bool was_refused_descriptors() noexcept { return std::exchange(refused_, false); }
  /// Sends what a call still lacks that the worker has begun with; false if that is refused again.
  [[nodiscard]] bool send_owed() noexcept;
  /// Takes a call back that the worker has not begun.
  [[nodiscard]] bool take_back(process_call& call) noexcept;
  /// The call with this number; null if it holds none.
  [[nodiscard]] process_call* find(std::uint64_t number) noexcept;
  /// Whether it holds functions from before this call.
  [[nodiscard]] bool has_functions_before(const process_call& call) const noexcept;
  /// Tells a function that the worker has taken to stop; false if the worker is deaf.
  [[nodiscard]] bool tell(const process_call& call) noexcept;
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
  /// What came beside those bytes.
  [[nodiscard]] std::span<std::shared_ptr<const attachment>> attachments() noexcept { return attachments_; }
  /// Puts what the call had sent in the place of what came back as the same memory.
  void recognise(const attachment_list& sent) noexcept;
  /// Wakes a worker that sleeps until there is room for a result. After every reading.
  void give_room() const noexcept;

 private:
  bool write(const message_header& header, std::span<const std::byte> payload) noexcept;
  bool send_descriptors(process_call& call, std::uint64_t number, std::uint64_t position) noexcept;
  bool try_to_send(process_call& call, std::uint64_t number);
  void count(const process_call& call, std::size_t one) noexcept;

  std::uint32_t index_;
  int driver_bell_;
  int service_bell_;
  bell_mode bell_mode_; // of the worker's own
  std::uint32_t generation_ = 0;
  pid_t pid_ = -1;
  unique_fd pidfd_;
  std::atomic<bool> condemned_{false}; // set under the lock, read also by who holds the pump
  bool killed_ = false;
  duty duty_ = duty::none;
  std::uint32_t place_ = 0;
  std::uint64_t handed_ = 0;
  std::uint64_t most_calls_ = 0;
  std::uint64_t told_ = 0; // what was written into the header's word of that name
  channel_descriptors worker_end_;
  unique_fd socket_;
  std::optional<channel_memory> memory_;
  std::optional<ring_writer> calls_;
  std::optional<ring_reader> results_;
  std::deque<process_call*> assigned_;
  // One whose descriptors are still to be sent, while the worker waits for them.
  process_call* owed_ = nullptr;
  bool refused_ = false;
  std::uint64_t first_number_ = 0; // that of assigned_.front()
  std::size_t functions_ = 0;
  std::size_t coroutines_ = 0;
  byte_buffer payload_;
  unique_fd large_descriptor_;
  attachment_list attachments_;
  shared_mapping large_payload_;
};

} // namespace fourfold::detail
