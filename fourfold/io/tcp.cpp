#include <fourfold/io/tcp.hpp>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace fourfold {
namespace {

int make_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    throw std::system_error(errno, std::generic_category(), "socket");
  return fd;
}

async_descriptor bound_socket(const ip_endpoint& local, int backlog) {
  const int fd = make_socket(local.family());
  async_descriptor socket(fd);
  const int yes = 1;
  const auto fail = [&](const char* call) {
    throw std::system_error(errno, std::generic_category(), std::string(call) + " " + local.to_string());
  };
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
    fail("setsockopt");
  if (::bind(fd, local.data(), local.size()) != 0)
    fail("bind");
  if (::listen(fd, backlog) != 0)
    fail("listen");
  return socket;
}

} // namespace

tcp_stream::tcp_stream(int fd) : socket_(fd) {
  const int yes = 1;
  // Fails only on a socket that is not TCP, where it means nothing.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

task<tcp_stream> tcp_stream::connect(ip_endpoint peer) {
  tcp_stream stream(make_socket(peer.family()));
  co_await stream.socket_.connect(peer.data(), peer.size());
  co_return stream;
}

task<> tcp_stream::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty())
    bytes = bytes.subspan(co_await socket_.send(bytes));
}

void tcp_stream::shutdown_write() noexcept { ::shutdown(socket_.native_handle(), SHUT_WR); }

tcp_listener::tcp_listener(const ip_endpoint& local, int backlog) : socket_(bound_socket(local, backlog)) {}

task<tcp_stream> tcp_listener::accept() {
  const std::size_t fd = co_await socket_.accept();
  co_return tcp_stream(static_cast<int>(fd));
}

} // namespace fourfold
