// What the echo servers of B15 and B16 share, ours and the C++ peers' alike. A server is started by echo_load
// on the CPU it has to stay on, listens on 127.0.0.1, says where, and sends back what it receives until it is
// killed. Where it needs a buffer for each connection, that has `--buffer` bytes.
#pragma once

#include "measure.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace echo_server {

constexpr int backlog = 4096;

[[noreturn]] inline void fail(const char* call, int reason = errno) {
  measure::fail(std::string(call) + ": " + std::strerror(reason));
}

inline int checked(int result, const char* call) {
  if (result < 0)
    fail(call);
  return result;
}

// Ten thousand connections are more than the usual soft limit.
inline void raise_descriptor_limit() {
  rlimit limit{};
  checked(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  checked(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

// The line that echo_load waits for.
inline void announce(std::uint16_t port) {
  std::printf("port %d\n", port);
  std::fflush(stdout);
}

inline std::uint16_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  checked(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

// For the servers without a library: a listening socket. On Linux the accepted ones inherit TCP_NODELAY.
inline int listening_socket(int flags) {
  const int socket = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket");
  const int yes = 1;
  checked(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "setsockopt");
  checked(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "setsockopt");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  checked(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  checked(listen(socket, backlog), "listen");
  return socket;
}

} // namespace echo_server
