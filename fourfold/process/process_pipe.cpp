#include <fourfold/base/errors.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/detail/shared_memory.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/worker_channel.hpp>
#include <fourfold/process/process_pipe.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <vector>

namespace fourfold {
namespace {

using detail::checked;

// A message is one packet: what kind it is, and the bytes; more than these go through sealed memory.
constexpr std::size_t most_in_packet = std::size_t{32} * 1024;
enum class packet : std::uint8_t { bytes = 0, sealed = 1 };

/// A message, ready to be sent.
struct outgoing {
  explicit outgoing(byte_buffer& message) {
    detail::require_few_attachments(message);
    const bool small = message.size() <= most_in_packet;
    bytes.append(std::as_bytes(std::span(small ? &in_packet : &in_memory, 1)));
    if (small) {
      bytes.append(message.bytes());
    } else {
      large = detail::make_sealed_message(message.bytes());
      descriptors.push_back(large.get());
    }
    for (const auto& one : message.attachments())
      descriptors.push_back(one->fd());
  }
  /// False if it would have to wait.
  [[nodiscard]] bool try_send(int socket) const {
    if (detail::send_with_descriptors(socket, bytes.bytes(), descriptors, false))
      return true;
    pollfd state{.fd = socket, .events = POLLOUT, .revents = 0};
    ::poll(&state, 1, 0);
    if ((state.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
      throw queue_closed();
    return false;
  }

  static constexpr packet in_packet = packet::bytes;
  static constexpr packet in_memory = packet::sealed;
  byte_buffer bytes;
  unique_fd large;
  std::vector<int> descriptors;
};

enum class received { message, nothing, end };

received try_receive(int socket, byte_buffer& message) {
  std::vector<std::byte> packet_bytes(1 + most_in_packet);
  auto packet_found = detail::receive_with_descriptors(socket, packet_bytes, false);
  switch (packet_found.what) {
  case detail::received_message::state::nothing: return received::nothing;
  case detail::received_message::state::closed: return received::end;
  case detail::received_message::state::message: break;
  }
  message.clear();
  std::span<unique_fd> descriptors(packet_found.descriptors);
  const auto bytes = std::span<const std::byte>(packet_bytes).first(packet_found.size);
  if (bytes[0] == static_cast<std::byte>(packet::sealed)) {
    message.append(detail::map_sealed_message(descriptors[0].get()).bytes());
    descriptors = descriptors.subspan(1);
  } else if (bytes[0] == static_cast<std::byte>(packet::bytes)) {
    message.append(bytes.subspan(1));
  } else {
    throw decode_error("a message of a pipe between processes is of an unknown kind");
  }
  detail::attach_received(message, descriptors);
  return received::message;
}

/// Sleeps until the socket is ready for `events`, or has ended.
void wait_for(int socket, short events, const wait_limit& limit) {
  if (limit.token.cancellation_requested())
    throw_cancelled();
  const blocking_scope blocking;
  unique_fd bell;
  if (limit.token.can_be_cancelled())
    bell = unique_fd(checked(::eventfd(0, EFD_CLOEXEC), "eventfd"));
  const int cancel_fd = bell.get();
  const cancellation_callback on_cancellation(limit.token,
                                              [cancel_fd]() noexcept { detail::ring_bell(cancel_fd); });
  std::array<pollfd, 2> watched{
      {{.fd = socket, .events = events, .revents = 0}, {.fd = cancel_fd, .events = POLLIN, .revents = 0}}};
  int left = -1;
  if (limit.deadline != never) {
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(limit.deadline - clock::now()).count();
    left = static_cast<int>(std::clamp<std::int64_t>(milliseconds, 0, std::numeric_limits<int>::max()));
  }
  if (::poll(watched.data(), watched.size(), left) == 0 && left != -1 && clock::now() >= limit.deadline)
    throw timed_out();
  if (limit.token.cancellation_requested())
    throw_cancelled();
}

unique_fd duplicate(int fd) {
  return unique_fd(checked(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicating a descriptor"));
}

} // namespace

std::pair<process_pipe, process_pipe> process_pipe::make() {
  auto [one, other] = detail::make_socket_pair();
  return {process_pipe(std::make_shared<const attachment>(std::move(one))),
          process_pipe(std::make_shared<const attachment>(std::move(other)))};
}

void process_pipe::send_bytes(byte_buffer message, const wait_limit& limit) {
  const outgoing packet(message);
  for (bool has_waited = false; !packet.try_send(socket_->fd()); has_waited = true) {
    if (limit.deadline != never && clock::now() >= limit.deadline)
      throw timed_out();
    // There is room, but too many descriptors are in flight, or memory is short: of their end nothing tells.
    if (has_waited)
      ::poll(nullptr, 0, 1);
    wait_for(socket_->fd(), POLLOUT, limit);
  }
}

task<> process_pipe::async_send_bytes(byte_buffer message) {
  const outgoing packet(message);
  for (bool has_waited = false; !packet.try_send(socket_->fd()); has_waited = true) {
    if (has_waited)
      co_await sleep(std::chrono::milliseconds(1));
    // The loop waits for descriptors to be readable; one of epoll is, when what it watches is ready.
    unique_fd writable(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
    epoll_event event{};
    event.events = EPOLLOUT;
    checked(::epoll_ctl(writable.get(), EPOLL_CTL_ADD, socket_->fd(), &event), "epoll_ctl");
    auto watched = async_descriptor::to_watch(writable.release());
    co_await watched.readable();
  }
}

bool process_pipe::receive_bytes(byte_buffer& message, const wait_limit& limit) {
  for (;;) {
    const received found = try_receive(socket_->fd(), message);
    if (found != received::nothing)
      return found == received::message;
    wait_for(socket_->fd(), POLLIN, limit);
  }
}

task<bool> process_pipe::async_receive_bytes(byte_buffer& message) {
  for (;;) {
    const received found = try_receive(socket_->fd(), message);
    if (found != received::nothing)
      co_return found == received::message;
    auto watched = async_descriptor::to_watch(duplicate(socket_->fd()).release());
    co_await watched.readable();
  }
}

} // namespace fourfold
