#include <fourfold/base/errors.hpp>
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
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace fourfold::detail {
namespace {

bool would_block(int error_number) noexcept { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

bool incoming(io_kind kind) noexcept {
  return kind == io_kind::receive || kind == io_kind::accept || kind == io_kind::readable;
}

io_operation*& slot(const io_operation& operation) noexcept {
  return incoming(operation.kind) ? operation.descriptor->incoming : operation.descriptor->outgoing;
}

/// Completes the operation, or false if it would have to wait. `retry`: it has waited for readiness before.
bool perform(io_operation& operation, bool retry) noexcept {
  const int fd = operation.descriptor->fd;
  for (;;) {
    switch (operation.kind) {
    case io_kind::receive: operation.result = ::recv(fd, operation.data, operation.size, 0); break;
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

void retry(io_operation*& waiting) noexcept {
  io_operation* operation = waiting;
  if (operation == nullptr || !perform(*operation, true))
    return;
  waiting = nullptr;
  std::exchange(operation->parked, nullptr)->wake();
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

epoll_reactor::epoll_reactor() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0)
    throw std::system_error(errno, std::generic_category(), "epoll_create1");
  bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event registration{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (bell_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &registration) != 0) {
    const int reason = errno;
    if (bell_ >= 0)
      ::close(bell_);
    ::close(epoll_);
    throw std::system_error(reason, std::generic_category(), "eventfd of the loop");
  }
}

epoll_reactor::~epoll_reactor() {
  ::close(bell_);
  ::close(epoll_);
}

void epoll_reactor::attach(io_descriptor& descriptor) {
  epoll_event registration{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &descriptor}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor.fd, &registration) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

void epoll_reactor::detach(io_descriptor& descriptor) noexcept {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor.fd, nullptr);
}

bool epoll_reactor::try_now(io_operation& operation) noexcept {
  // Behind one that waits it must not overtake; park() reports it.
  return slot(operation) == nullptr && perform(operation, false);
}

void epoll_reactor::park(io_operation& operation) {
  io_operation*& waiting = slot(operation);
  if (waiting != nullptr)
    throw error("another task already waits for this descriptor in the same direction");
  waiting = &operation;
}

bool epoll_reactor::withdraw(io_operation& operation) noexcept {
  io_operation*& waiting = slot(operation);
  if (waiting != &operation)
    return false;
  waiting = nullptr;
  return true;
}

void epoll_reactor::wait(clock::time_point deadline) {
  std::array<epoll_event, 256> events{};
  const int count = wait_for_events(epoll_, events.data(), static_cast<int>(events.size()), deadline);
  if (count < 0 && errno != EINTR)
    throw std::system_error(errno, std::generic_category(), "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      read_bell();
      continue;
    }
    // Completing an operation only queues its coroutine, so no descriptor is detached while this batch is
    // looked at.
    auto& descriptor = *static_cast<io_descriptor*>(event.data.ptr);
    if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
      retry(descriptor.incoming);
    if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
      retry(descriptor.outgoing);
  }
}

void epoll_reactor::wake() noexcept {
  const std::uint64_t one = 1;
  // Cannot fail but for a counter at its maximum, which wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(bell_, &one, sizeof one);
}

void epoll_reactor::read_bell() noexcept {
  std::uint64_t count = 0;
  if (::read(bell_, &count, sizeof count) == sizeof count)
    wakes_ += count;
}

void epoll_reactor::absorb_wakes(std::uint64_t count) noexcept {
  while (wakes_ < count) {
    pollfd bell{.fd = bell_, .events = POLLIN, .revents = 0};
    ::poll(&bell, 1, -1);
    read_bell();
  }
}

std::unique_ptr<reactor> make_reactor() {
  const char* wanted = std::getenv("FOURFOLD_REACTOR");
  if (wanted != nullptr && std::string_view(wanted) != "epoll") {
    throw error("FOURFOLD_REACTOR is '" + std::string(wanted) + "', but the only reactor is 'epoll'");
  }
  return std::make_unique<epoll_reactor>();
}

} // namespace fourfold::detail
