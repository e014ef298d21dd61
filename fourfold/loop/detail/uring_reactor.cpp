#include <fourfold/loop/detail/uring_reactor.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <vector>

namespace fourfold::detail {

struct uring_descriptor final : io_descriptor {
  using io_descriptor::io_descriptor;

  /// Requests of the kernel's that are about this descriptor.
  unsigned in_flight = 0;
  /// Those that answer many times: in flight, and asked to end.
  bool receiving = false;
  bool accepting = false;
  bool ending = false;
  /// Asked whether it is readable; and whoever asked has been withdrawn since.
  bool polling = false;
  bool poll_is_stale = false;
  bool closed = false;
  /// The end of the stream has come.
  bool at_end = false;
  /// A failure that has come and that nobody has been told: minus errno.
  int failure = 0;
  uring_received unread;
  std::vector<int> unclaimed; // accepted connections, oldest first
};

namespace {

constexpr unsigned submissions = 256;
constexpr unsigned completions = 4096;
// How much may come that nobody has asked for, before a request that answers many times is withdrawn.
constexpr std::size_t most_unread_buffers = 8;
constexpr std::size_t most_unclaimed = 64;

uring_descriptor& own(io_descriptor& descriptor) noexcept {
  return static_cast<uring_descriptor&>(descriptor);
}

/// Fills `operation` from what has come before; false if that is nothing.
bool take_what_has_come(io_operation& operation, uring_buffers& buffers) noexcept {
  uring_descriptor& descriptor = own(*operation.descriptor);
  if (operation.kind == io_kind::receive && !descriptor.unread.empty()) {
    operation.result = static_cast<std::ptrdiff_t>(
        buffers.take(descriptor.unread, static_cast<std::byte*>(operation.data), operation.size));
    return true;
  }
  if (operation.kind == io_kind::accept && !descriptor.unclaimed.empty()) {
    operation.result = descriptor.unclaimed.front();
    descriptor.unclaimed.erase(descriptor.unclaimed.begin());
    return true;
  }
  if (operation.kind == io_kind::readable)
    return !descriptor.unread.empty() || !descriptor.unclaimed.empty() || descriptor.at_end;
  if (descriptor.failure != 0) {
    operation.result = std::exchange(descriptor.failure, 0);
    return true;
  }
  if (operation.kind == io_kind::receive && descriptor.at_end) {
    operation.result = 0;
    return true;
  }
  return false;
}

} // namespace

uring_reactor::uring_reactor() : ring_(std::make_unique<uring>(submissions, completions)), bell_(0) {}

uring_reactor::~uring_reactor() = default;

void uring_reactor::begin_run() {
  const pid_t here = ::gettid();
  if (thread_ != 0 && thread_ != here) {
    buffers_.forget_ring();
    thread_ = 0;
    ring_ = std::make_unique<uring>(submissions, completions);
  }
  if (thread_ == 0) {
    ring_->enable();
    thread_ = here;
  }
  ring_->hold_descriptor();
  listen_to_bell();
}

void uring_reactor::end_run() noexcept {
  // Everything that is still asked for: the bell, and descriptors that outlive the run.
  if (io_uring_sqe* all = ring_->next_entry()) {
    all->opcode = IORING_OP_ASYNC_CANCEL;
    all->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    all->flags = IOSQE_CQE_SKIP_SUCCESS;
  }
  while (in_flight_ != 0) {
    ring_->enter(never);
    take_completions();
  }
  ring_->release_descriptor();
}

io_uring_sqe* uring_reactor::request(subject about, void* object) noexcept {
  io_uring_sqe* entry = ring_->next_entry();
  if (entry == nullptr)
    return nullptr;
  entry->user_data = reinterpret_cast<std::uintptr_t>(object) | static_cast<std::uint64_t>(about);
  ++in_flight_;
  return entry;
}

io_uring_sqe* uring_reactor::request_about(subject about, uring_descriptor& descriptor) noexcept {
  io_uring_sqe* entry = request(about, &descriptor);
  if (entry == nullptr)
    return nullptr;
  entry->fd = descriptor.fd;
  ++descriptor.in_flight;
  return entry;
}

bool uring_reactor::cancel_request(subject about, void* object) noexcept {
  io_uring_sqe* entry = ring_->next_entry();
  if (entry == nullptr)
    return false;
  entry->opcode = IORING_OP_ASYNC_CANCEL;
  entry->addr = reinterpret_cast<std::uintptr_t>(object) | static_cast<std::uint64_t>(about);
  entry->flags = IOSQE_CQE_SKIP_SUCCESS;
  return true;
}

void uring_reactor::listen_to_bell() noexcept {
  io_uring_sqe* entry = request(subject::bell, nullptr);
  listening_to_bell_ = entry != nullptr;
  if (entry == nullptr)
    return;
  entry->opcode = IORING_OP_READ;
  entry->fd = bell_.fd();
  entry->addr = reinterpret_cast<std::uintptr_t>(&bell_count_);
  entry->len = sizeof bell_count_;
}

io_descriptor& uring_reactor::attach(int fd) { return *new uring_descriptor(fd); }

void uring_reactor::close(io_descriptor& d) noexcept {
  uring_descriptor& descriptor = own(d);
  descriptor.closed = true;
  for (io_operation* waiting : {d.incoming, d.outgoing}) {
    if (waiting == nullptr)
      continue;
    if (waiting->in_kernel) {
      [[maybe_unused]] const bool asked = cancel_request(subject::operation, waiting);
    } else {
      waiting->complete(-ECANCELED);
    }
  }
  if (descriptor.receiving) {
    [[maybe_unused]] const bool asked = cancel_request(subject::receiving, &descriptor);
  }
  if (descriptor.accepting) {
    [[maybe_unused]] const bool asked = cancel_request(subject::accepting, &descriptor);
  }
  if (descriptor.polling) {
    [[maybe_unused]] const bool asked = cancel_request(subject::polling, &descriptor);
  }
  // At once, so that a closed listener's port is free when close() returns.
  if (descriptor.in_flight != 0)
    ring_->enter(clock::time_point::min());
  buffers_.drop(descriptor.unread);
  for (const int fd : descriptor.unclaimed)
    ::close(fd);
  descriptor.unclaimed.clear();
  ::close(d.fd);
  release_if_closed(descriptor);
}

void uring_reactor::release_if_closed(uring_descriptor& descriptor) noexcept {
  if (descriptor.closed && descriptor.in_flight == 0)
    delete &descriptor;
}

bool uring_reactor::try_now(io_operation& operation) noexcept {
  // Behind one that waits it must not overtake; park() reports it.
  if (operation.slot() != nullptr)
    return false;
  if (operation.kind != io_kind::send)
    return take_what_has_come(operation, buffers_);
  for (;;) {
    operation.result =
        ::send(operation.descriptor->fd, operation.data, operation.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (operation.result >= 0)
      return true;
    if (errno == EAGAIN)
      return false;
    if (errno == EINTR)
      continue;
    operation.result = -errno;
    return true;
  }
}

void uring_reactor::park(io_operation& operation) {
  operation.occupy_slot();
  uring_descriptor& descriptor = own(*operation.descriptor);
  bool asked = false;
  if (operation.kind == io_kind::accept) {
    asked = descriptor.accepting || start_accepting(descriptor);
  } else if (operation.kind == io_kind::receive && operation.size <= uring_buffers::buffer_size) {
    asked = descriptor.receiving || start_receiving(descriptor);
  } else if (operation.kind == io_kind::receive && descriptor.receiving) {
    asked = true;
  } else if (operation.kind == io_kind::readable) {
    asked = descriptor.polling || start_polling(descriptor);
  } else {
    asked = hand_to_kernel(operation);
  }
  if (!asked) {
    operation.slot() = nullptr;
    throw std::system_error(EAGAIN, std::generic_category(), "io_uring: no room for another request");
  }
}

bool uring_reactor::hand_to_kernel(io_operation& operation) noexcept {
  io_uring_sqe* entry = request(subject::operation, &operation);
  if (entry == nullptr)
    return false;
  entry->fd = operation.descriptor->fd;
  entry->addr = reinterpret_cast<std::uintptr_t>(operation.data);
  switch (operation.kind) {
  case io_kind::receive:
    entry->opcode = IORING_OP_RECV;
    entry->len = static_cast<std::uint32_t>(operation.size);
    break;
  case io_kind::send:
    entry->opcode = IORING_OP_SEND;
    entry->len = static_cast<std::uint32_t>(operation.size);
    entry->msg_flags = MSG_NOSIGNAL;
    entry->ioprio = IORING_RECVSEND_POLL_FIRST; // it was tried just now
    break;
  case io_kind::connect:
    entry->opcode = IORING_OP_CONNECT;
    entry->off = operation.size;
    break;
  case io_kind::readable: // start_polling()
  case io_kind::accept:   // start_accepting()
    break;
  }
  operation.in_kernel = true;
  ++own(*operation.descriptor).in_flight;
  return true;
}

bool uring_reactor::start_receiving(uring_descriptor& descriptor) noexcept {
  if (!buffers_.register_with(*ring_))
    return hand_to_kernel(*descriptor.incoming);
  io_uring_sqe* entry = request_about(subject::receiving, descriptor);
  if (entry == nullptr)
    return false;
  entry->opcode = IORING_OP_RECV;
  entry->ioprio = IORING_RECV_MULTISHOT;
  entry->flags = IOSQE_BUFFER_SELECT;
  entry->buf_group = uring_buffers::group;
  descriptor.receiving = true;
  descriptor.ending = false;
  return true;
}

bool uring_reactor::start_accepting(uring_descriptor& descriptor) noexcept {
  io_uring_sqe* entry = request_about(subject::accepting, descriptor);
  if (entry == nullptr)
    return false;
  entry->opcode = IORING_OP_ACCEPT;
  entry->ioprio = IORING_ACCEPT_MULTISHOT;
  entry->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  descriptor.accepting = true;
  descriptor.ending = false;
  return true;
}

bool uring_reactor::start_polling(uring_descriptor& descriptor) noexcept {
  io_uring_sqe* entry = request_about(subject::polling, descriptor);
  if (entry == nullptr)
    return false;
  entry->opcode = IORING_OP_POLL_ADD;
  entry->poll32_events = POLLIN;
  descriptor.polling = true;
  descriptor.poll_is_stale = false;
  return true;
}

bool uring_reactor::withdraw(io_operation& operation) noexcept {
  if (!operation.in_kernel) {
    operation.slot() = nullptr;
    own(*operation.descriptor).poll_is_stale = true;
    return true;
  }
  if (!operation.withdrawn)
    operation.withdrawn = cancel_request(subject::operation, &operation);
  return false;
}

void uring_reactor::wait(clock::time_point deadline) {
  if (!listening_to_bell_)
    listen_to_bell();
  if (ring_->has_completions()) {
    if (ring_->has_work())
      ring_->enter(clock::time_point::min());
  } else if (deadline > clock::now()) {
    ring_->enter(deadline);
  } else if (ring_->has_work()) {
    ring_->enter(clock::time_point::min());
  }
  take_completions();
}

void uring_reactor::take_completions() noexcept {
  ring_->take_completions([this](const io_uring_cqe& entry) { completed(entry); });
}

void uring_reactor::completed(const io_uring_cqe& entry) noexcept {
  constexpr std::uint64_t subject_bits = 7;
  const auto about = static_cast<subject>(entry.user_data & subject_bits);
  void* object = reinterpret_cast<void*>(entry.user_data & ~subject_bits);
  if (about != subject::nothing && (entry.flags & IORING_CQE_F_MORE) == 0)
    --in_flight_;
  switch (about) {
  case subject::nothing: break; // a cancellation that came too late
  case subject::bell:
    listening_to_bell_ = false; // the next wait() listens again
    if (entry.res > 0)
      bell_.heard(bell_count_);
    break;
  case subject::operation: operation_completed(*static_cast<io_operation*>(object), entry.res); break;
  case subject::receiving: received(*static_cast<uring_descriptor*>(object), entry); break;
  case subject::accepting: accepted(*static_cast<uring_descriptor*>(object), entry); break;
  case subject::polling: polled(*static_cast<uring_descriptor*>(object), entry.res); break;
  }
}

void uring_reactor::operation_completed(io_operation& operation, int result) noexcept {
  uring_descriptor& descriptor = own(*operation.descriptor);
  operation.in_kernel = false;
  --descriptor.in_flight;
  operation.complete(result);
  release_if_closed(descriptor);
}

void uring_reactor::received(uring_descriptor& descriptor, const io_uring_cqe& entry) noexcept {
  if ((entry.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto buffer = static_cast<std::uint16_t>(entry.flags >> IORING_CQE_BUFFER_SHIFT);
    if (entry.res > 0 && !descriptor.closed) {
      buffers_.append(descriptor.unread, buffer, static_cast<std::size_t>(entry.res));
    } else {
      buffers_.give_back(buffer);
    }
  }
  if (entry.res == 0)
    descriptor.at_end = true;
  const bool goes_on = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (!goes_on) {
    descriptor.receiving = false;
    --descriptor.in_flight;
    if (entry.res < 0 && entry.res != -ECANCELED && entry.res != -ENOBUFS && entry.res != -EINTR)
      descriptor.failure = entry.res;
  }
  if (descriptor.closed)
    return release_if_closed(descriptor);
  if (entry.res == -ENOBUFS && descriptor.incoming != nullptr) {
    // All buffers are in use: this one goes without.
    if (!hand_to_kernel(*descriptor.incoming))
      descriptor.incoming->complete(-EAGAIN);
    return;
  }
  serve_incoming(descriptor);
  if (descriptor.receiving && !descriptor.ending && descriptor.unread.count >= most_unread_buffers)
    descriptor.ending = cancel_request(subject::receiving, &descriptor);
}

void uring_reactor::accepted(uring_descriptor& descriptor, const io_uring_cqe& entry) noexcept {
  const bool goes_on = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (!goes_on) {
    descriptor.accepting = false;
    --descriptor.in_flight;
  }
  if (entry.res >= 0) {
    if (descriptor.closed) {
      ::close(entry.res);
    } else {
      try {
        descriptor.unclaimed.push_back(entry.res);
      } catch (const std::bad_alloc&) {
        ::close(entry.res);
        descriptor.failure = -ENOMEM;
      }
    }
  } else if (entry.res != -ECANCELED && entry.res != -ECONNABORTED && entry.res != -EINTR) {
    descriptor.failure = entry.res;
  }
  if (descriptor.closed)
    return release_if_closed(descriptor);
  serve_incoming(descriptor);
  if (descriptor.accepting && !descriptor.ending && descriptor.unclaimed.size() >= most_unclaimed)
    descriptor.ending = cancel_request(subject::accepting, &descriptor);
}

void uring_reactor::polled(uring_descriptor& descriptor, int result) noexcept {
  descriptor.polling = false;
  --descriptor.in_flight;
  if (descriptor.closed)
    return release_if_closed(descriptor);
  io_operation* waiting = descriptor.incoming;
  if (waiting == nullptr || waiting->kind != io_kind::readable)
    return;
  // An answer to somebody who asked before; what was there may have been read since.
  pollfd now{.fd = descriptor.fd, .events = POLLIN, .revents = 0};
  if (descriptor.poll_is_stale && ::poll(&now, 1, 0) == 0) {
    if (!start_polling(descriptor))
      waiting->complete(-EAGAIN);
    return;
  }
  waiting->complete(result < 0 ? result : 0); // positive: what there is
}

void uring_reactor::serve_incoming(uring_descriptor& descriptor) noexcept {
  io_operation* waiting = descriptor.incoming;
  if (waiting == nullptr || waiting->in_kernel)
    return;
  if (take_what_has_come(*waiting, buffers_)) {
    waiting->complete(waiting->result);
    return;
  }
  bool asked = true;
  if (waiting->kind == io_kind::receive && !descriptor.receiving)
    asked = start_receiving(descriptor);
  if (waiting->kind == io_kind::accept && !descriptor.accepting)
    asked = start_accepting(descriptor);
  if (!asked)
    waiting->complete(-EAGAIN);
}

} // namespace fourfold::detail
