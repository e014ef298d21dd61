#pragma once

#include <fourfold/base/wait_observer.hpp>

#include <cstdint>
#include <string_view>

namespace fourfold {

/// For code that retries without waiting: tells `deadlock_detection` of attempts in vain and of success, so that
/// spinning without progress is noticed.
///
///   progress transfers("transfers between accounts", 10'000);
///   while (!try_transfer(a, b)) transfers.tried_in_vain();
///   transfers.made();
///
/// When one party has tried `limit` times since anybody has made progress, a livelock is reported, once until the next
/// progress, with every party that tried meanwhile. Without detection each call is a load and a branch. Any thread and
/// task.
class progress {
 public:
  /// `name` must outlive it: a literal.
  explicit progress(std::string_view name, std::uint64_t limit = 10'000) noexcept
      : name_(name), limit_(limit) {}
  ~progress() { tell_wait_observer(&wait_observer::gone, resource_id(this)); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void tried_in_vain() noexcept {
    tell_wait_observer(&wait_observer::tried_in_vain, resource_id(this), name_, limit_);
  }
  void made() noexcept { tell_wait_observer(&wait_observer::progressed, resource_id(this)); }

 private:
  std::string_view name_;
  std::uint64_t limit_;
};

} // namespace fourfold
