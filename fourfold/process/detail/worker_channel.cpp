#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace fourfold::detail {
namespace {

// Room for the control message, aligned as the kernel wants it.
struct alignas(cmsghdr) control_buffer {
  std::array<char, CMSG_SPACE(sizeof(int) * most_descriptors)> bytes{};
};

} // namespace

unique_fd make_bell(bell_mode mode) {
  const int flags = EFD_CLOEXEC | (mode == bell_mode::returns ? EFD_NONBLOCK : 0);
  return unique_fd(checked(::eventfd(0, flags), "eventfd"));
}

void sleep_at_bell(int bell) noexcept {
  std::uint64_t count = 0;
  while (::read(bell, &count, sizeof count) < 0) {
    if (errno == EINTR)
      continue;
    if (errno != EAGAIN)
      return;
    pollfd rung{.fd = bell, .events = POLLIN, .revents = 0};
    static_cast<void>(::poll(&rung, 1, -1));
  }
}

void ring_bell(int eventfd) noexcept {
  const std::uint64_t one = 1;
  const int saved_errno = errno;
  [[maybe_unused]] const ssize_t written = ::write(eventfd, &one, sizeof one);
  errno = saved_errno;
}

std::array<unique_fd, 2> make_socket_pair() {
  std::array<int, 2> ends{};
  checked(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

bool send_with_descriptors(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors,
                           bool wait) {
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  control_buffer control;
  if (!descriptors.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0)
      return true;
    if (errno == EINTR)
      continue;
    // The peer has gone: by its kind of end and the kernel's age, one of these.
    if (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN)
      return false;
    // Too many descriptors are in flight, or memory is short; that passes as peers receive.
    const bool busy = errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM;
    if (busy && !wait)
      return false;
    if (busy) {
      ::poll(nullptr, 0, 1);
      continue;
    }
    throw_errno("sendmsg to a worker");
  }
}

received_message receive_with_descriptors(int socket, std::span<std::byte> buffer, bool wait) {
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  control_buffer control;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  received_message received;
  ssize_t size = 0;
  bool was_reset = false;
  for (;;) {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    if (size >= 0)
      break;
    // A peer that ended with unread messages is reported first, before what it had sent.
    if (errno == ECONNRESET && !std::exchange(was_reset, true))
      continue;
    if (errno != EINTR)
      break;
  }
  if (size < 0) {
    if (errno == EAGAIN)
      return received;
    if (errno != ECONNRESET)
      throw_errno("recvmsg");
    size = 0;
  }
  received.what = size == 0 ? received_message::state::closed : received_message::state::message;
  received.size = static_cast<std::size_t>(size);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      unique_fd owned(fd);
      if (i < received.descriptors.size())
        received.descriptors[i] = std::move(owned);
    }
  }
  return received;
}

void require_few_attachments(const byte_buffer& bytes) {
  if (bytes.attachments().size() > most_attachments)
    throw error("more shared objects than can travel in one message (252 descriptors)");
}

bool send_attached(int socket, std::uint64_t number, int payload, const byte_buffer& attached, bool wait) {
  std::array<int, most_descriptors> descriptors{};
  std::size_t count = 0;
  if (payload >= 0)
    descriptors[count++] = payload;
  for (const auto& one :
       attached.attachments().first(std::min(attached.attachments().size(), most_attachments)))
    descriptors[count++] = one->fd();
  return send_with_descriptors(socket, std::as_bytes(std::span(&number, 1)),
                               std::span(descriptors).first(count), wait);
}

void attach_received(byte_buffer& bytes, std::span<unique_fd> descriptors) {
  for (unique_fd& fd : descriptors) {
    if (!fd)
      break;
    bytes.attach(std::make_shared<const attachment>(std::move(fd)));
  }
}

} // namespace fourfold::detail
