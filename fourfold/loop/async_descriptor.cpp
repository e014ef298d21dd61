#include <fourfold/base/errors.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/loop.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace fourfold {

void detail::io_awaitable::throw_failure() const {
  if (operation_.result == -ECANCELED && operation_.withdrawn)
    throw_cancelled();
  throw std::system_error(static_cast<int>(-operation_.result), std::generic_category(), name_);
}

async_descriptor::async_descriptor(int fd, bool make_non_blocking) {
  try {
    reactor_ = loop::current().reactor();
    // Such a one is always “ready”, and yet blocks. epoll refuses it; io_uring would find out much later.
    struct stat status{};
    if (::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
      throw std::system_error(EPERM, std::generic_category(), "a file or folder cannot be waited on");
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 ||
        (make_non_blocking && (flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
      throw std::system_error(errno, std::generic_category(), "fcntl");
    }
    state_ = &reactor_->attach(fd);
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
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void async_descriptor::close() noexcept {
  if (state_ != nullptr)
    reactor_->close(*std::exchange(state_, nullptr));
}

detail::io_awaitable async_descriptor::operation(detail::io_kind kind, void* data, std::size_t size,
                                                 const char* name) {
  if (state_ == nullptr)
    throw std::system_error(EBADF, std::generic_category(), name);
  if (loop::current().reactor() != reactor_) {
    throw wrong_thread(std::string(name) + ": the descriptor belongs to another loop");
  }
  return {reactor_.get(), {.kind = kind, .descriptor = state_, .data = data, .size = size}, name};
}

} // namespace fourfold
