#pragma once

#include <fourfold/loop/detail/reactor.hpp>

namespace fourfold::detail {

/// Readiness by epoll, edge-triggered: a descriptor is registered once, for both directions; an operation is
/// tried first, and tried again when its direction turns ready.
class epoll_reactor final : public reactor {
 public:
  epoll_reactor();
  ~epoll_reactor() override;
  epoll_reactor(const epoll_reactor&) = delete;
  epoll_reactor& operator=(const epoll_reactor&) = delete;

  void attach(io_descriptor& descriptor) override;
  void detach(io_descriptor& descriptor) noexcept override;
  bool try_now(io_operation& operation) noexcept override;
  void park(io_operation& operation) override;
  bool withdraw(io_operation& operation) noexcept override;
  void wait(clock::time_point deadline) override;
  void wake() noexcept override;
  void absorb_wakes(std::uint64_t count) noexcept override;
  [[nodiscard]] std::uint64_t wakes() const noexcept override { return wakes_; }

 private:
  void read_bell() noexcept;

  int epoll_ = -1;
  int bell_ = -1; // eventfd
  std::uint64_t wakes_ = 0;
};

} // namespace fourfold::detail
