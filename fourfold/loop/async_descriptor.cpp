#include <fourfold/base/errors.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/loop.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace fourfold {

void detail::io_awaitable::throw_failure() const {
  throw std::system_error(static_cast<int>(-operation_.result), std::generic_category(), name_);
}

async_descriptor::async_descriptor(int fd, bool make_non_blocking) {
  try {
    reactor_ = loop::current().reactor();
    state_ = std::make_unique<detail::io_descriptor>();
    state_->fd = fd;
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 ||
        (make_non_blocking && (flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
      throw std::system_error(errno, std::generic_category(), "fcntl");
    }
    reactor_->attach(*state_);
  } catch (...) {
    if (fd >= 0)
      ::close(fd);
    throw;
  }
}

async_descriptor& async_descriptor::operator=(async_descriptor&& other) noexcept {
  if (this != &other) {
    close();
    reactor_ = std::move(other.reactor_);
    state_ = std::move(other.state_);
  }
  return *this;
}

void async_descriptor::close() noexcept {
  if (!state_)
    return;
  for (detail::io_operation* waiting : {state_->incoming, state_->outgoing}) {
    if (waiting == nullptr || !reactor_->withdraw(*waiting))
      continue;
    waiting->result = -ECANCELED;
    std::exchange(waiting->parked, nullptr)->wake();
  }
  reactor_->detach(*state_);
  ::close(state_->fd);
  state_.reset();
}

detail::io_awaitable async_descriptor::operation(detail::io_kind kind, void* data, std::size_t size,
                                                 const char* name) {
  if (!state_)
    throw std::system_error(EBADF, std::generic_category(), name);
  if (loop::current().reactor() != reactor_) {
    throw wrong_thread(std::string(name) + ": the descriptor belongs to another loop");
  }
  return {reactor_.get(), {.kind = kind, .descriptor = state_.get(), .data = data, .size = size}, name};
}

} // namespace fourfold
