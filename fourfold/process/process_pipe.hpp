#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/base/wait_limit.hpp>
#include <fourfold/loop/task.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

namespace fourfold {

/// One end of a pipe that carries values of any encodable types both ways between two processes, in order and
/// whole. What handles of shared memory, queues and other pipes stand for travels with them, so a pipe is how
/// they reach a process that no pool has started.
///
///   auto [here, there] = process_pipe::make();
///   auto work = pool.submit(serve, std::move(there));
///   here.send(1, std::string("one"));
///   while (auto reply = here.receive<std::tuple<int, double>>()) …     // until the other end has gone
///
/// A handle: copies, and what arrives elsewhere, are the same end. When the last handle of the other end has
/// gone, by its process's death or otherwise, receivers get what is left and then the end, and senders get
/// `queue_closed`. For one type and millions of messages a second use process_queue.
///
/// What came from the other process is not trusted: `decode_error` if it is no T.
///
/// (1) Cancellation-aware: yes; a cancelled operation has had no effect. (2) A coroutine resumes on its loop.
/// (3) Threads: any number at a time. (4) Destroying a handle is letting go of it.
class process_pipe {
 public:
  /// The two ends of a new pipe. Throws std::system_error.
  [[nodiscard]] static std::pair<process_pipe, process_pipe> make();

  /// Sends one message, waiting while the other end is behind. Throws `queue_closed`, `timed_out`, `cancelled`.
  template <class... T>
  void send_within(const wait_limit& limit, const T&... values) {
    send_bytes(encode(values...), limit);
  }
  template <class... T>
  void send(const T&... values) {
    send_bytes(encode(values...), {});
  }
  template <class... T>
  [[nodiscard]] task<> async_send(const T&... values) {
    return async_send_bytes(encode(values...));
  }

  /// The next message, waiting for one; empty at the end. What send(a, b) sent is read as std::tuple<A, B>.
  /// Throws `timed_out`, `cancelled`, `decode_error`.
  template <class T>
  [[nodiscard]] std::optional<T> receive(const wait_limit& limit = {}) {
    byte_buffer message;
    if (!receive_bytes(message, limit))
      return std::nullopt;
    return decoded<T>(message);
  }
  template <class T>
  [[nodiscard]] task<std::optional<T>> async_receive() {
    byte_buffer message;
    const bool there = co_await async_receive_bytes(message);
    if (!there)
      co_return std::nullopt;
    co_return decoded<T>(message);
  }

 private:
  friend struct codec<process_pipe>;
  explicit process_pipe(std::shared_ptr<const attachment> socket) noexcept : socket_(std::move(socket)) {}

  template <class T>
  static T decoded(byte_buffer& message) {
    decoder in(message.bytes(), message.attachments());
    T value = in.read<T>();
    in.finish();
    return value;
  }
  void send_bytes(byte_buffer message, const wait_limit& limit);
  task<> async_send_bytes(byte_buffer message);
  bool receive_bytes(byte_buffer& message, const wait_limit& limit);
  task<bool> async_receive_bytes(byte_buffer& message);

  std::shared_ptr<const attachment> socket_;
};

template <>
struct codec<process_pipe> {
  static constexpr std::size_t least_bytes = 1;
  static void encode(encoder& out, const process_pipe& value) {
    out.write(std::byte{1}); // so that a count of them can be checked against the bytes
    out.attach(value.socket_);
  }
  static process_pipe decode(decoder& in) {
    if (in.read<std::byte>() != std::byte{1})
      in.fail("an unknown kind of pipe");
    return process_pipe(in.next_attachment());
  }
};

} // namespace fourfold
