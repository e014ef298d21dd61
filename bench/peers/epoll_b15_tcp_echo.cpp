// B15 and B16: a loop around epoll_wait and nothing else; edge-triggered, one receive buffer for all
// connections. What the kernel does not take at once is kept, and the connection is not read until it is gone.
#include "../support/echo_server.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

#include <sys/epoll.h>

namespace {

using echo_server::checked;

struct connection {
  int fd;
  std::vector<char> unsent;
  bool peer_ended = false;
};

class server {
 public:
  explicit server(std::size_t buffer)
      : buffer_(buffer),
        listener_{echo_server::listening_socket(SOCK_NONBLOCK), {}},
        epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    add(listener_, EPOLLIN);
    echo_server::announce(echo_server::port_of(listener_.fd));
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR)
        echo_server::fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* ready = static_cast<connection*>(event.data.ptr);
        if (ready == &listener_) {
          accept_all();
          continue;
        }
        if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
          ready->peer_ended = true;
        if (!echo(*ready)) {
          close(ready->fd);
          delete ready;
        }
      }
    }
  }

 private:
  void add(connection& one, std::uint32_t events) {
    epoll_event registration{.events = events, .data = {.ptr = &one}};
    checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, one.fd, &registration), "epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && errno == EAGAIN)
        return;
      if (fd < 0 && errno == ECONNABORTED)
        continue;
      add(*new connection{checked(fd, "accept4"), {}}, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  // False when the connection has ended.
  bool echo(connection& one) {
    if (!one.unsent.empty()) {
      const ssize_t n = send(one.fd, one.unsent.data(), one.unsent.size(), MSG_NOSIGNAL);
      if (n < 0)
        return errno == EAGAIN;
      one.unsent.erase(one.unsent.begin(), one.unsent.begin() + n);
      if (!one.unsent.empty())
        return true;
    }
    for (;;) {
      const ssize_t n = recv(one.fd, buffer_.data(), buffer_.size(), 0);
      if (n <= 0)
        return n < 0 && errno == EAGAIN;
      const ssize_t sent = send(one.fd, buffer_.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN)
        return false;
      if (sent < n) {
        one.unsent.assign(buffer_.data() + std::max<ssize_t>(sent, 0), buffer_.data() + n);
        return true;
      }
      if (static_cast<std::size_t>(n) < buffer_.size() && !one.peer_ended)
        return true; // there is no more; if more comes, epoll tells
    }
  }

  std::vector<char> buffer_;
  connection listener_;
  int epoll_;
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  server(options.buffer).run();
}
