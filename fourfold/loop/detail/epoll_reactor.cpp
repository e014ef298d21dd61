#include <fourfold/loop/detail/epoll_reactor.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <memory>
#include <system_error>

namespace fourfold::detail {
namespace {

bool would_block(int error_number) noexcept { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

/// What edge-triggered readiness leaves to be remembered.
struct epoll_descriptor final : io_descriptor {
  explicit epoll_descriptor(int descriptor) noexcept : io_descriptor(descriptor) {
    int type = 0;
    socklen_t size = sizeof type;
    is_stream = ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
  }

  bool is_stream;
  /// There may be something to receive. Not after a stream gave less than there was room for: that has emptied
  /// it, and what comes later comes with an edge of its own (epoll(7), question 9).
  bool may_receive = true;
  /// The peer has ended its side, or the descriptor failed: there will be no more edges.
  bool ended = false;
};

/// Completes the operation, or false if it would have to wait. `retry`: it has waited for readiness before.
bool perform(io_operation& operation, bool retry) noexcept {
  const int fd = operation.descriptor->fd;
  for (;;) {
    switch (operation.kind) {
    case io_kind::receive: {
      auto& descriptor = static_cast<epoll_descriptor&>(*operation.descriptor);
      if (!descriptor.may_receive)
        return false;
      operation.result = ::recv(fd, operation.data, operation.size, 0);
      const bool emptied =
          operation.result > 0
              ? descriptor.is_stream && static_cast<std::size_t>(operation.result) < operation.size
              : operation.result < 0 && would_block(errno);
      descriptor.may_receive = !emptied || descriptor.ended;
      break;
    }
    case io_kind::send: operation.result = ::send(fd, operation.data, operation.size, MSG_NOSIGNAL); break;
    case io_kind::accept:
      operation.result = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      // The connection ended before it was accepted: look for the next one, as accept(2) advises.
      if (operation.result < 0 && (errno == ECONNABORTED || errno == EPROTO))
        continue;
      break;
    case io_kind::connect:
      if (retry) {
        int reason = 0;
        socklen_t length = sizeof reason;
        operation.result = ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length);
        if (operation.result == 0)
          operation.result = -reason;
        // A socket that is still connecting has no peer; an event from before connect() must not pass for
        // success.
        if (operation.result == 0) {
          sockaddr_storage peer{};
          socklen_t size = sizeof peer;
          if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 && errno == ENOTCONN)
            return false;
        }
        return true;
      }
      operation.result =
          ::connect(fd, static_cast<const sockaddr*>(operation.data), static_cast<socklen_t>(operation.size));
      if (operation.result < 0 && (errno == EINPROGRESS || errno == EINTR))
        return false;
      break;
    case io_kind::readable: {
      pollfd state{.fd = fd, .events = POLLIN, .revents = 0};
      operation.result = ::poll(&state, 1, 0);
      if (operation.result == 0)
        return false;
      if (operation.result > 0)
        operation.result = 0;
      break;
    }
    }
    if (operation.result >= 0)
      return true;
    if (errno == EINTR)
      continue;
    if (would_block(errno))
      return false;
    operation.result = -errno;
    return true;
  }
}

void try_again(io_operation* waiting) noexcept {
  if (waiting != nullptr && perform(*waiting, true))
    waiting->complete(waiting->result);
}

/// As epoll_wait, to the nanosecond where the kernel can (5.11), else rounded up to the next millisecond.
int wait_for_events(int epoll, epoll_event* events, int capacity, clock::time_point deadline) noexcept {
  static std::atomic<bool> precise{true};
  const auto remaining = deadline == never ? clock::duration::max() : deadline - clock::now();
  if (remaining <= clock::duration::zero())
    return ::epoll_wait(epoll, events, capacity, 0);
  if (deadline == never)
    return ::epoll_wait(epoll, events, capacity, -1);
  if (precise.load(std::memory_order_relaxed)) {
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(remaining).count();
    const timespec timeout{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                           .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
    const int count = ::epoll_pwait2(epoll, events, capacity, &timeout, nullptr);
    // Some sandboxes answer EPERM to system calls that they do not know.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM))
      return count;
    precise.store(false, std::memory_order_relaxed);
  }
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(remaining).count();
  return ::epoll_wait(epoll, events, capacity,
                      static_cast<int>(std::min<std::int64_t>(milliseconds, INT_MAX)));
}

} // namespace

epoll_reactor::epoll_reactor() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), bell_(EFD_NONBLOCK) {
  if (!epoll_)
    throw std::system_error(errno, std::generic_category(), "epoll_create1");
  epoll_event registration{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell_.fd(), &registration) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

io_descriptor& epoll_reactor::attach(int fd) {
  auto descriptor = std::make_unique<epoll_descriptor>(fd);
  epoll_event registration{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                           .data = {.ptr = descriptor.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &registration) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  return *descriptor.release();
}

void epoll_reactor::close(io_descriptor& descriptor) noexcept {
  for (io_operation* waiting : {descriptor.incoming, descriptor.outgoing}) {
    if (waiting != nullptr)
      waiting->complete(-ECANCELED);
  }
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor.fd, nullptr);
  ::close(descriptor.fd);
  delete static_cast<epoll_descriptor*>(&descriptor);
}

bool epoll_reactor::try_now(io_operation& operation) noexcept {
  // Behind one that waits it must not overtake; park() reports it.
  return operation.slot() == nullptr && perform(operation, false);
}

bool epoll_reactor::withdraw(io_operation& operation) noexcept {
  if (operation.slot() != &operation)
    return false;
  operation.slot() = nullptr;
  return true;
}

void epoll_reactor::wait(clock::time_point deadline) {
  std::array<epoll_event, 256> events{};
  const int count = wait_for_events(epoll_.get(), events.data(), static_cast<int>(events.size()), deadline);
  if (count < 0 && errno != EINTR)
    throw std::system_error(errno, std::generic_category(), "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      bell_.read_now();
      continue;
    }
    // Completing an operation only queues its coroutine, so no descriptor is closed while this batch is looked
    // at.
    auto& descriptor = *static_cast<epoll_descriptor*>(event.data.ptr);
    if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
      descriptor.ended = true;
    if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
      descriptor.may_receive = true;
      try_again(descriptor.incoming);
    }
    if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
      try_again(descriptor.outgoing);
  }
}

} // namespace fourfold::detail
