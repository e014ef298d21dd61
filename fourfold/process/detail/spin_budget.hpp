#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/futex.hpp>

#include <algorithm>
#include <chrono>

namespace fourfold::detail {

/// How long to look for something before sleeping. A wake-up across CPUs costs tens of microseconds, looking
/// costs the CPU that the other side may need: so the time halves with each look in vain, and is back in full
/// after one that paid.
class spin_budget {
 public:
  explicit spin_budget(std::chrono::microseconds most) noexcept : most_(most), now_(most) {}

  /// Looks until `found()`; false when the time is over.
  template <class Found>
  bool look(Found&& found) {
    if (most_ <= clock::duration::zero())
      return false;
    const auto until = clock::now() + now_;
    do {
      // The clock costs as much as a dozen looks.
      for (int i = 0; i < 16; ++i) {
        if (found()) {
          now_ = most_;
          return true;
        }
        pause();
      }
    } while (clock::now() < until);
    now_ = std::max<clock::duration>(now_ / 2, std::chrono::microseconds(1));
    return false;
  }

 private:
  clock::duration most_;
  clock::duration now_;
};

} // namespace fourfold::detail
