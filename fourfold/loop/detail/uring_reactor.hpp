#pragma once

#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/detail/uring.hpp>
#include <fourfold/loop/detail/uring_buffers.hpp>
#include <fourfold/loop/detail/wake_bell.hpp>

#include <sys/types.h>

#include <cstdint>
#include <memory>

namespace fourfold::detail {

struct uring_descriptor;

/// Completion by io_uring. Accepting and receiving are each asked for once a descriptor and then answered many
/// times (“multishot”): what comes before anybody asks is kept for the next operation, up to a bound beyond
/// which the request is withdrawn. A receive of more than a buffer goes straight into the reader's memory.
/// Sending is tried at once, and handed to the kernel only if it would have to wait.
///
/// Between two runs the kernel holds nothing of ours but the ring, so a loop may run on another thread the
/// next time; it then gets a new ring, since one belongs to the thread that used it first.
class uring_reactor final : public reactor {
 public:
  /// Throws std::system_error where the kernel lacks it (before 6.1) or a sandbox forbids it.
  uring_reactor();
  ~uring_reactor() override;
  uring_reactor(const uring_reactor&) = delete;
  uring_reactor& operator=(const uring_reactor&) = delete;

  void begin_run() override;
  void end_run() noexcept override;
  io_descriptor& attach(int fd) override;
  void close(io_descriptor& descriptor) noexcept override;
  bool try_now(io_operation& operation) noexcept override;
  void park(io_operation& operation) override;
  bool withdraw(io_operation& operation) noexcept override;
  void wait(clock::time_point deadline) override;
  void wake() noexcept override { bell_.ring(); }
  void absorb_wakes(std::uint64_t count) noexcept override { bell_.absorb(count); }
  [[nodiscard]] const char* name() const noexcept override { return "io_uring"; }

 private:
  /// What a completion is about; kept in the low bits of its user data, beside a pointer.
  enum class subject : std::uint8_t { nothing, bell, operation, receiving, accepting, polling };

  /// A new entry, or null; counts as in flight until its last completion.
  io_uring_sqe* request(subject about, void* object) noexcept;
  [[nodiscard]] bool cancel_request(subject about, void* object) noexcept;
  void listen_to_bell() noexcept;
  [[nodiscard]] bool hand_to_kernel(io_operation& operation) noexcept;
  [[nodiscard]] bool start_receiving(uring_descriptor& descriptor) noexcept;
  [[nodiscard]] bool start_accepting(uring_descriptor& descriptor) noexcept;
  [[nodiscard]] bool start_polling(uring_descriptor& descriptor) noexcept;
  io_uring_sqe* request_about(subject about, uring_descriptor& descriptor) noexcept;

  void take_completions() noexcept;
  void completed(const io_uring_cqe& entry) noexcept;
  void operation_completed(io_operation& operation, int result) noexcept;
  void received(uring_descriptor& descriptor, const io_uring_cqe& entry) noexcept;
  void accepted(uring_descriptor& descriptor, const io_uring_cqe& entry) noexcept;
  void polled(uring_descriptor& descriptor, int result) noexcept;
  /// The operation waiting for what has come, or for a request that ended, goes on.
  void serve_incoming(uring_descriptor& descriptor) noexcept;
  /// Frees a closed descriptor once the kernel holds nothing of it.
  static void release_if_closed(uring_descriptor& descriptor) noexcept;

  std::unique_ptr<uring> ring_;
  uring_buffers buffers_;
  wake_bell bell_;
  std::uint64_t bell_count_ = 0; // the kernel writes here
  std::size_t in_flight_ = 0;
  pid_t thread_ = 0; // that the ring belongs to; 0: none yet
  bool listening_to_bell_ = false;
};

} // namespace fourfold::detail
