#pragma once

#include <fourfold/io/ip_endpoint.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fourfold {

/// A TCP connection, bound to the loop it was made on.
///
///   tcp_stream peer = co_await tcp_stream::connect(ip_endpoint::loopback(8080));
///   co_await peer.write_all("hello\n");
///   std::size_t n = co_await peer.read_some(buffer);        // 0: the peer has ended its side
///
/// One task may read and one may write at a time; more get `error`. Small writes are sent at once
/// (TCP_NODELAY). Failures are std::system_error. Cancellation-aware: yes; a cancelled write_all may have
/// sent a part. Resumes: on the loop. Threads: the loop's, others get `wrong_thread`. Destruction closes it;
/// who waits gets operation_canceled.
class tcp_stream {
 public:
  /// Takes over a connected socket.
  explicit tcp_stream(int fd);
  [[nodiscard]] static task<tcp_stream> connect(ip_endpoint peer);

  /// At most buffer.size() bytes, as soon as there are any; 0 at the end of the stream.
  [[nodiscard]] auto read_some(std::span<std::byte> buffer) { return socket_.receive(buffer); }
  [[nodiscard]] auto read_some(std::span<char> buffer) {
    return socket_.receive(std::as_writable_bytes(buffer));
  }
  /// Sends all of it. The bytes must live until then.
  [[nodiscard]] task<> write_all(std::span<const std::byte> bytes);
  [[nodiscard]] task<> write_all(std::string_view text) { return write_all(std::as_bytes(std::span(text))); }

  /// Ends this side: the peer reads to the end. Reading goes on.
  void shutdown_write() noexcept;
  void close() noexcept { socket_.close(); }
  [[nodiscard]] int native_handle() const noexcept { return socket_.native_handle(); }

 private:
  async_descriptor socket_;
};

/// Accepts TCP connections on the loop it was made on. Threads, cancellation, errors and destruction as
/// tcp_stream's.
///
///   tcp_listener listener(ip_endpoint::loopback(0));         // port 0: the kernel chooses; see port()
///   tcp_stream peer = co_await listener.accept();
class tcp_listener {
 public:
  /// Binds and listens (SO_REUSEADDR is set). A port that is taken is std::system_error with
  /// std::errc::address_in_use.
  explicit tcp_listener(const ip_endpoint& local, int backlog = 4096);

  [[nodiscard]] task<tcp_stream> accept();
  [[nodiscard]] std::uint16_t port() const { return ip_endpoint::of_socket(socket_.native_handle()).port(); }
  void close() noexcept { socket_.close(); }
  [[nodiscard]] int native_handle() const noexcept { return socket_.native_handle(); }

 private:
  async_descriptor socket_;
};

} // namespace fourfold
