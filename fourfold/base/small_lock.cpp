#include <fourfold/base/small_lock.hpp>

namespace fourfold {

void small_lock::lock_slowly() noexcept {
  // The sections are a few dozen instructions long, so the holder is usually gone before a sleep could even
  // begin.
  constexpr int spins = 100;
  if (detail::spin(spins, [this] { return state_.load(std::memory_order_relaxed) == 0 && try_lock(); }))
    return;
  while (state_.exchange(2, std::memory_order_acquire) != 0)
    detail::futex_wait(state_, 2);
}

} // namespace fourfold
