#include <fourfold/place/retry.hpp>

#include <algorithm>
#include <random>
#include <stdexcept>

namespace fourfold {
namespace {

double nanoseconds(clock::duration duration) noexcept {
  return std::chrono::duration<double, std::nano>(duration).count();
}

/// Between 0 and 1. SplitMix64 (Steele, Lea and Flood 2014): any seed is a good one.
double next_chance(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111eb;
  z ^= z >> 31U;
  return static_cast<double>(z >> 11U) * 0x1p-53; // 53 bits: what a double holds exactly
}

} // namespace

bool retry_policy::may_mend(const std::exception_ptr& failure) const {
  return when ? when(failure) : !is_one_of<cancelled, pool_closed>(failure);
}

retry_pauses::retry_pauses(const retry_policy& policy)
    : pause_(nanoseconds(policy.first_pause)),
      growth_(policy.growth),
      longest_(nanoseconds(policy.longest_pause)),
      jitter_(policy.jitter),
      chance_(policy.seed ? *policy.seed : std::random_device{}()) {
  // Written so that what is not a number is refused, too.
  if (!(pause_ >= 0 && longest_ >= 0 && growth_ >= 1 && jitter_ >= 0 && jitter_ <= 1)) {
    throw std::invalid_argument(
        "retry: needs pauses that are not negative, growth >= 1 and 0 <= jitter <= 1");
  }
}

clock::duration retry_pauses::next() noexcept {
  const double pause = std::min(pause_, longest_);
  pause_ = std::min(pause_ * growth_, longest_);
  const double left = pause * (1 - jitter_ * next_chance(chance_));
  return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double, std::nano>(left));
}

} // namespace fourfold
