#include "page_client.hpp"

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "page_text.hpp"

namespace fourfold::tool {
namespace {

std::string target_of(const page_address& address, unsigned number) {
  return fmt::format("/pages/{}/{}?wait={}", address.job, number, address.wait_microseconds);
}

std::string request_for(const std::string& target) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
}

void check_page(unsigned number, unsigned status, const std::string& body) {
  if (status != 200)
    throw std::runtime_error(fmt::format("page {}: status {}", number, status));
  if (body != page_text(number))
    throw std::runtime_error(fmt::format("page {}: the body is not that page", number));
}

[[noreturn]] void fail(const char* doing, int code = errno) {
  if (code == EAGAIN)
    throw timed_out(fmt::format("{}: no answer from the page server in 10 s", doing));
  throw std::system_error(code, std::generic_category(), doing);
}

[[noreturn]] void ended_early() { throw std::runtime_error("the page server ended the connection"); }

} // namespace

blocking_page_client::blocking_page_client(page_address address) : address_(address) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0)
    fail("socket");
  const timeval limit{page_time_limit.count(), 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(address.port);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) {
    const int code = errno;
    ::close(socket_);
    fail("connect to the page server", code);
  }
}

blocking_page_client::~blocking_page_client() { ::close(socket_); }

std::string blocking_page_client::get_target(const std::string& target) {
  const std::string request = request_for(target);
  for (std::string_view rest = request; !rest.empty();) {
    const ssize_t sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR)
      fail("send to the page server");
    if (sent > 0)
      rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  reader_.next();
  std::array<char, 16384> buffer;
  while (!reader_.complete()) {
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      fail("read from the page server");
    if (got == 0)
      ended_early();
    reader_.feed({buffer.data(), static_cast<std::size_t>(got)});
  }
  return reader_.body();
}

std::string blocking_page_client::get(unsigned number) {
  std::string body = get_target(target_of(address_, number));
  check_page(number, reader_.status(), body);
  return body;
}

task<std::string> async_page_client::get(unsigned number) {
  task<void> whole = exchange(request_for(target_of(address_, number)));
  co_await timeout(page_time_limit, std::move(whole));
  check_page(number, reader_.status(), reader_.body());
  co_return reader_.body();
}

task<void> async_page_client::exchange(std::string request) {
  if (!stream_)
    stream_ = co_await tcp_stream::connect(ip_endpoint::loopback(address_.port));
  co_await stream_->write_all(request);
  reader_.next();
  std::array<std::byte, 16384> buffer;
  while (!reader_.complete()) {
    const std::size_t got = co_await stream_->read_some(buffer);
    if (got == 0)
      ended_early();
    reader_.feed({reinterpret_cast<const char*>(buffer.data()), got});
  }
}

job_statistics statistics_of(page_address address) {
  blocking_page_client client(address);
  std::istringstream text(client.get_target(fmt::format("/jobs/{}", address.job)));
  job_statistics seen;
  if (!(text >> seen.requests >> seen.different_pages >> seen.most_at_once)) {
    throw std::runtime_error("the page server gave no statistics");
  }
  return seen;
}

void check_each_once(page_address address, std::size_t pages, std::size_t limit) {
  const job_statistics seen = statistics_of(address);
  if (seen.requests != pages || seen.different_pages != pages) {
    throw std::runtime_error(
        fmt::format("{} pages were to be fetched once each; the server was asked {} times for {}", pages,
                    seen.requests, seen.different_pages));
  }
  if (seen.most_at_once > limit) {
    throw std::runtime_error(
        fmt::format("{} pages were fetched at once; {} was the limit", seen.most_at_once, limit));
  }
}

} // namespace fourfold::tool
