// B09, what its sides share: the works, and that each was done right.
#pragma once

#include "measure.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fork_join {

// fib(30), and no cut-off: each call above 1 forks once.
constexpr unsigned fib_of = 30;
constexpr std::uint64_t fib_result = 832040;
constexpr double fib_forks = 1346268; // calls above 1: fib(31) - 1
// A tree of ten children each, a million leaves that know their number; the sum of all.
constexpr std::uint64_t skynet_leaves = 1'000'000;
constexpr std::uint64_t skynet_children = 10;
constexpr std::uint64_t skynet_sum = skynet_leaves * (skynet_leaves - 1) / 2;
// A loop over so many elements, each of which takes about a nanosecond.
constexpr std::size_t elements = 10'000'000;
inline void tiny_body(std::uint32_t& element) { element = element * 2654435761U + 1U; }

// Fib and Skynet: `fib()` and `skynet()` do the work and return its result; `loop(elements)` calls tiny_body for each.
template <class Fib, class Skynet, class Loop>
void measure_and_print(const measure::options& options, Fib&& fib, Skynet&& skynet, Loop&& loop) {
  const double seconds = options.seconds / 3;
  const double per_fib = measure::nanoseconds_per_unit(seconds, [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      measure::require(fib() == fib_result, "fib(30)");
  });
  const double per_tree = measure::nanoseconds_per_unit(seconds, [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      measure::require(skynet() == skynet_sum, "the sum of the leaves");
  });
  std::vector<std::uint32_t> values(elements, 1);
  std::uint64_t rounds = 0;
  const double per_loop = measure::nanoseconds_per_unit(seconds, [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      loop(values);
    rounds += count;
  });
  std::uint32_t expected = 1;
  for (std::uint64_t i = 0; i < rounds; ++i)
    tiny_body(expected);
  for (const std::uint32_t value : values)
    measure::require(value == expected, "an element was left out or done twice");
  measure::print({{"fib", per_fib / fib_forks}, {"skynet", per_tree / 1e6}, {"loop", per_loop / 1e6}});
}

} // namespace fork_join
