#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/loop/detail/reactor.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace fourfold {
namespace detail {

/// Awaits one operation on a descriptor; its result is the system call's, or std::system_error.
class [[nodiscard]] io_awaitable final : public coroutine_waiter {
 public:
  io_awaitable(reactor* completes, io_operation operation, const char* name) noexcept
      : reactor_(completes), operation_(operation), name_(name) {}
  /// Only before it is awaited.
  io_awaitable(io_awaitable&& other) noexcept
      : reactor_(other.reactor_), operation_(other.operation_), name_(other.name_) {}

  bool await_ready() { return enter() || reactor_->try_now(operation_); }
  void await_suspend(std::coroutine_handle<> awaiting) {
    reactor_->park(operation_);
    operation_.parked = this;
    suspend(awaiting);
  }
  std::size_t await_resume() {
    leave();
    if (operation_.result < 0)
      throw_failure(); // `cancelled`, or the system's error
    return static_cast<std::size_t>(operation_.result);
  }
  void cancel() noexcept override {
    // Once woken, the descriptor may be gone.
    if (operation_.parked != nullptr && reactor_->withdraw(operation_))
      end_cancelled();
  }

 private:
  [[noreturn]] void throw_failure() const;

  reactor* reactor_;
  io_operation operation_;
  const char* name_;
};

} // namespace detail

/// A file descriptor of a kind that can wait (socket, pipe, eventfd, pidfd), owned, bound to one loop, and
/// awaitable. What the classes of the io floor are made of.
///
/// One task may wait in each direction at a time; a second one gets `error`. Closing it ends both waits with
/// std::system_error (operation_canceled). Cancellation-aware: yes, a cancelled operation has had no effect.
/// Resumes: on the loop. Threads: the loop's; another thread gets `wrong_thread`. Moving it is fine while
/// nobody waits.
class async_descriptor {
 public:
  async_descriptor() noexcept = default;
  /// Takes over `fd`, makes it non-blocking and binds it to this thread's loop. On failure
  /// (std::system_error, `wrong_thread`) it is closed.
  explicit async_descriptor(int fd) : async_descriptor(fd, true) {}
  /// The same for a descriptor whose flags must stay as they are (another process shares them): only
  /// readable() may be awaited.
  [[nodiscard]] static async_descriptor to_watch(int fd) { return {fd, false}; }
  async_descriptor(async_descriptor&& other) noexcept
      : reactor_(std::move(other.reactor_)), state_(std::exchange(other.state_, nullptr)) {}
  async_descriptor& operator=(async_descriptor&& other) noexcept;
  ~async_descriptor() { close(); }

  [[nodiscard]] bool is_open() const noexcept { return state_ != nullptr; }
  /// The descriptor, or -1.
  [[nodiscard]] int native_handle() const noexcept { return state_ != nullptr ? state_->fd : -1; }
  void close() noexcept;

  /// How many bytes were received (0: the end of the stream) or sent.
  [[nodiscard]] auto receive(std::span<std::byte> buffer) {
    return operation(detail::io_kind::receive, buffer.data(), buffer.size(), "receive");
  }
  [[nodiscard]] auto send(std::span<const std::byte> bytes) {
    return operation(detail::io_kind::send, const_cast<std::byte*>(bytes.data()), bytes.size(), "send");
  }
  /// The accepted connection's descriptor, which is non-blocking and closed on exec.
  [[nodiscard]] auto accept() { return operation(detail::io_kind::accept, nullptr, 0, "accept"); }
  /// `address` must live until the operation has ended.
  [[nodiscard]] auto connect(const sockaddr* address, socklen_t size) {
    return operation(detail::io_kind::connect, const_cast<sockaddr*>(address), size, "connect");
  }
  /// Until there is something to read, or the end, or an error.
  [[nodiscard]] auto readable() { return operation(detail::io_kind::readable, nullptr, 0, "poll"); }

 private:
  async_descriptor(int fd, bool make_non_blocking);
  detail::io_awaitable operation(detail::io_kind kind, void* data, std::size_t size, const char* name);

  std::shared_ptr<detail::reactor> reactor_;
  detail::io_descriptor* state_ = nullptr; // the reactor's
};

} // namespace fourfold
