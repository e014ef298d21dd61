// B05: a million timers, all armed and then fired in one go, or all armed and then cancelled in the order of
// arming. They end uniformly within a second of the start, the same in every run and on every side.
#pragma once

#include "measure.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace timers {

constexpr std::chrono::nanoseconds span = std::chrono::seconds(1);

inline std::vector<std::chrono::nanoseconds> make_ends(std::size_t count) {
  std::mt19937_64 random(5); // NOLINT: always the same
  std::uniform_int_distribution<std::int64_t> within(0, span.count() - 1);
  std::vector<std::chrono::nanoseconds> result(count);
  for (std::chrono::nanoseconds& one : result)
    one = std::chrono::nanoseconds(within(random));
  return result;
}

// A `Timers` is constructed for a number of timers, and has its memory from then on; arm(ends) starts them,
// fire() runs what is due, cancel() ends all of them, and fired() and cancelled() tell how many were. Neither
// its construction, nor its destruction, nor the wait for the last end is measured.
template <class Timers>
double arm_and_fire(const std::vector<std::chrono::nanoseconds>& ends) {
  Timers all(ends.size());
  const auto start = measure::clock::now();
  all.arm(ends);
  double elapsed = measure::nanoseconds_since(start);
  // Some round up to milliseconds.
  std::this_thread::sleep_until(measure::clock::now() + span + std::chrono::milliseconds(2));
  const auto due = measure::clock::now();
  all.fire();
  elapsed += measure::nanoseconds_since(due);
  measure::require(all.fired() == ends.size(), "not every timer fired");
  return elapsed / static_cast<double>(ends.size());
}

template <class Timers>
double arm_and_cancel(const std::vector<std::chrono::nanoseconds>& ends) {
  Timers all(ends.size());
  const auto start = measure::clock::now();
  all.arm(ends);
  all.cancel();
  const double elapsed = measure::nanoseconds_since(start);
  measure::require(all.fired() == 0 && all.cancelled() == ends.size(), "not every timer was cancelled");
  return elapsed / static_cast<double>(ends.size());
}

template <class Timers>
void run(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const auto ends = make_ends(options.count != 0 ? options.count : 1'000'000);
  arm_and_cancel<Timers>(ends); // warms up
  const double cancel = arm_and_cancel<Timers>(ends);
  const double fire = arm_and_fire<Timers>(ends);
  measure::print({{"arm_fire", fire}, {"arm_cancel", cancel}});
}

} // namespace timers
