#pragma once

#include <fourfold/base/unique_fd.hpp>
#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/detail/wake_bell.hpp>

namespace fourfold::detail {

/// Readiness by epoll, edge-triggered: a descriptor is registered once, for both directions; an operation is
/// tried first, and tried again when its direction turns ready.
class epoll_reactor final : public reactor {
 public:
  epoll_reactor();
  epoll_reactor(const epoll_reactor&) = delete;
  epoll_reactor& operator=(const epoll_reactor&) = delete;

  io_descriptor& attach(int fd) override;
  void close(io_descriptor& descriptor) noexcept override;
  bool try_now(io_operation& operation) noexcept override;
  void park(io_operation& operation) override { operation.occupy_slot(); }
  bool withdraw(io_operation& operation) noexcept override;
  void wait(clock::time_point deadline) override;
  void wake() noexcept override { bell_.ring(); }
  void absorb_wakes(std::uint64_t count) noexcept override { bell_.absorb(count); }
  [[nodiscard]] const char* name() const noexcept override { return "epoll"; }

 private:
  unique_fd epoll_;
  wake_bell bell_;
};

} // namespace fourfold::detail
