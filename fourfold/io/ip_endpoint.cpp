#include <fourfold/io/ip_endpoint.hpp>

#include <arpa/inet.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace fourfold {
namespace {

// sockaddr_storage is the one object that may be read as any of its kinds; memcpy keeps the aliasing rules.
template <class Address>
Address read(const sockaddr_storage& storage) noexcept {
  Address address{};
  std::memcpy(&address, &storage, sizeof address);
  return address;
}

template <class Address>
void write(sockaddr_storage& storage, const Address& address) noexcept {
  std::memcpy(&storage, &address, sizeof address);
}

} // namespace

ip_endpoint::ip_endpoint() noexcept { storage_.ss_family = AF_INET; }

ip_endpoint ip_endpoint::loopback(std::uint16_t port) noexcept {
  ip_endpoint endpoint;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  write(endpoint.storage_, address);
  return endpoint;
}

ip_endpoint ip_endpoint::parse(std::string_view text, std::uint16_t port) {
  const std::string address(text);
  ip_endpoint endpoint;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    write(endpoint.storage_, v4);
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    write(endpoint.storage_, v6);
  } else {
    throw std::invalid_argument("not a numeric IPv4 or IPv6 address: '" + address + "'");
  }
  return endpoint;
}

ip_endpoint ip_endpoint::of_socket(int fd) {
  ip_endpoint endpoint;
  socklen_t size = sizeof endpoint.storage_;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&endpoint.storage_), &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "getsockname");
  }
  return endpoint;
}

std::uint16_t ip_endpoint::port() const noexcept {
  return ntohs(family() == AF_INET6 ? read<sockaddr_in6>(storage_).sin6_port
                                    : read<sockaddr_in>(storage_).sin_port);
}

std::string ip_endpoint::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::string port_text = std::to_string(port());
  if (family() == AF_INET6) {
    const auto address = read<sockaddr_in6>(storage_);
    ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + port_text;
  }
  const auto address = read<sockaddr_in>(storage_);
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return std::string(text.data()) + ":" + port_text;
}

socklen_t ip_endpoint::size() const noexcept {
  return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

} // namespace fourfold
