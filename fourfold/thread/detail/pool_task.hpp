#pragma once

namespace fourfold::detail {

class pool_worker;

/// What a thread of a pool can find to do: a call, or a part of one that was forked.
class pool_task {
 public:
  /// Whoever took it out of where it stood does this once.
  virtual void run_on(pool_worker& worker) noexcept = 0;

 protected:
  pool_task() noexcept = default;
  ~pool_task() = default;
};

} // namespace fourfold::detail
