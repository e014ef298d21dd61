#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace fourfold {

/// An IPv4 or IPv6 address and a port.
class ip_endpoint {
 public:
  /// 0.0.0.0, port 0.
  ip_endpoint() noexcept;

  /// 127.0.0.1.
  [[nodiscard]] static ip_endpoint loopback(std::uint16_t port) noexcept;
  /// A numeric address, IPv4 or IPv6 ("::1"). Throws std::invalid_argument; names are not resolved.
  [[nodiscard]] static ip_endpoint parse(std::string_view address, std::uint16_t port);
  /// The endpoint a socket is bound to. Throws std::system_error.
  [[nodiscard]] static ip_endpoint of_socket(int fd);

  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] int family() const noexcept { return storage_.ss_family; }
  /// "127.0.0.1:80", "[::1]:80".
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t size() const noexcept;

 private:
  sockaddr_storage storage_{};
};

} // namespace fourfold
