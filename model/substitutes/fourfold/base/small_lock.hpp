#pragma once

// Found before the real header. The real lock is examined by itself, as `real_small_lock`; what is built on it gets one
// that is held or free and nothing else, so that its orders are those of its own steps.

#include <model/modelled.hpp>

#define small_lock real_small_lock
#include "../../../../fourfold/base/small_lock.hpp"
#undef small_lock

namespace fourfold {

class small_lock {
 public:
  small_lock() noexcept = default;
  small_lock(const small_lock&) = delete;
  small_lock& operator=(const small_lock&) = delete;

  void lock() noexcept {
    interleavings::step_when(this, [this] { return !held_; });
    held_ = true;
  }
  [[nodiscard]] bool try_lock() noexcept {
    interleavings::step(this, interleavings::access::write);
    return !std::exchange(held_, true);
  }
  void unlock() noexcept {
    interleavings::step(this, interleavings::access::write);
    held_ = false;
  }

 private:
  bool held_ = false;
};

} // namespace fourfold
