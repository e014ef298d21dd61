#pragma once

#include <fourfold/base/sanitizers.hpp>
#include <fourfold/base/unique_fd.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace fourfold::detail {

/// The eventfd by which other threads end a reactor's sleep, and the count of how many have.
class wake_bell {
 public:
  /// Throws std::system_error.
  explicit wake_bell(int flags) : fd_(::eventfd(0, EFD_CLOEXEC | flags)) {
    if (!fd_)
      throw std::system_error(errno, std::generic_category(), "eventfd of the loop");
  }

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// Any thread.
  void ring() noexcept {
    const std::uint64_t one = 1;
    const int fd = fd_.get();
    orders_before(this);
    // Cannot fail but for a counter at its maximum, which wakes as well.
    // Not write(), which ThreadSanitizer takes for a use of the descriptor that goes on until it returns.
    [[maybe_unused]] const long written = ::syscall(SYS_write, fd, &one, sizeof one);
  }
  /// Notes rings that have been read from the descriptor.
  void heard(std::uint64_t rings) noexcept {
    heard_ += rings;
    orders_after(this); // io_uring read it: the last producer may let the loop be destroyed
  }
  void read_now() noexcept {
    std::uint64_t rings = 0;
    if (::read(fd_.get(), &rings, sizeof rings) == sizeof rings)
      heard(rings);
  }
  /// Sleeps until `count` rings have been heard in all.
  void absorb(std::uint64_t count) noexcept {
    while (heard_ < count) {
      pollfd readable{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&readable, 1, -1) > 0)
        read_now();
    }
  }

 private:
  unique_fd fd_;
  std::uint64_t heard_ = 0;
};

} // namespace fourfold::detail
